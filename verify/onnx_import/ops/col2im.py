"""Col2Im: the columns of all windows added up into the image that they were cut from."""

from __future__ import annotations

import itertools

import numpy as np

from verify.errors import ShapeMismatch
from verify.onnx_import.call import Call, Variable
from verify.onnx_import.registry import importer
from verify.onnx_import.taps import Tap, tapped


@importer("Col2Im", since=18)
def col2im(call: Call) -> Variable:
    x, image, block = call.variable(0), call.integers(1, "image shape"), call.integers(2, "block shape")
    rank = len(image)
    stride, dilation = (call.attribute(name) or [1] * rank for name in ("strides", "dilations"))
    pads = call.attribute("pads") or [0] * (2 * rank)
    counts = [(image[k] + pads[k] + pads[rank + k] - dilation[k] * (block[k] - 1) - 1) // stride[k] + 1
              for k in range(rank)]
    if x.rank != 3 or x.shape[1] % int(np.prod(block)) or x.shape[2] != int(np.prod(counts)):
        raise ShapeMismatch(f"columns of shape {list(x.shape)} do not fit an image of {image} in blocks of {block}")
    columns = np.arange(x.size).reshape(x.shape[0], -1, *block, *counts)

    def tap(offset: tuple[int, ...]) -> Tap:
        """Pixel p is entry `offset` of window (p + pad - offset dilation) / stride, if there is one."""
        where = [np.arange(image[k]) + pads[k] - offset[k] * dilation[k] for k in range(rank)]
        windows = [w // s for w, s in zip(where, stride, strict=True)]
        valid = [(w % s == 0) & (w >= 0) & (w // s < n) for w, s, n in zip(where, stride, counts, strict=True)]
        windows = [np.where(ok, w, 0) for ok, w in zip(valid, windows, strict=True)]
        read = columns[(slice(None), slice(None), *offset)][(..., *np.ix_(*windows))]
        return np.where(np.all(np.meshgrid(*valid, indexing="ij"), axis=0), read, -1), 1.0

    return tapped(call, x, [tap(offset) for offset in itertools.product(*map(range, block))])
