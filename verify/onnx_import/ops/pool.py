"""MaxPool, AveragePool and their global forms.

A maximum is a balanced tree of max(a, b) = a + relu(b - a) over the entries of each window; window entries outside
the image read another entry of the same window, which does not change the maximum. An average is a depthwise
convolution, followed by a division per position where windows differ in size.
"""

import math

import numpy as np
import torch

from verify.onnx_import.call import Call, Variable
from verify.onnx_import.lowering import affine, largest, lift_to_2d, pad_with
from verify.onnx_import.registry import importer
from verify.onnx_import.windows import window
from verify.ops import Conv, Sum


@importer("MaxPool", accepts="any")
def max_pool(call: Call) -> Variable:
    x = call.variable(0)
    if len(call.outputs) > 1 and call.outputs[1]:
        raise call.refuse("the indices of the maxima are asked for; the values alone would be accepted")
    frame = window(call, x.shape[2:], tuple(call.attribute("kernel_shape")))
    reads = frame.reads(call)
    flat = np.arange(x.size).reshape(x.shape)
    axes = [np.where(valid, index, _first_valid(index, valid)) for index, valid in reads]
    views = flat[:, :, *_open_mesh(axes)]
    # (b, c, k1, o1, k2, o2, ...) -> (k1 k2 ..., b, c, o1, o2, ...)
    spatial = len(axes)
    order = [*(2 + 2 * d for d in range(spatial)), 0, 1, *(3 + 2 * d for d in range(spatial))]
    stacked = views.transpose(order)
    shape = stacked.shape[spatial:]
    return largest(call, x, stacked.reshape(-1, *shape))


@importer("GlobalMaxPool")
def global_max_pool(call: Call) -> Variable:
    x = call.variable(0)
    flat = np.arange(x.size).reshape(*x.shape[:2], -1)
    return call.reshape(largest(call, x, np.moveaxis(flat, -1, 0)), (*x.shape[:2], *(1 for _ in x.shape[2:])))


@importer("AveragePool")
def average_pool(call: Call) -> Variable:
    x = call.variable(0)
    if x.rank not in (3, 4):
        raise call.refuse(f"an average of shape {list(x.shape)}; one and two dimensions are supported")
    frame = window(call, x.shape[2:], tuple(call.attribute("kernel_shape")))
    channels, counts = x.shape[1], frame.counts(call, bool(call.attribute("count_include_pad", 0)))
    even = bool((counts == counts.flat[0]).all())
    value = 1 / float(counts.flat[0]) if even else 1.0
    if frame.begin != frame.end or any(frame.overhang):
        x = pad_with(call, x, frame.begin, tuple(e + o for e, o in zip(frame.end, frame.overhang, strict=True)))
        frame = frame.unpadded()
    weight = torch.full((channels, 1, *frame.kernel), value, dtype=torch.float64)
    x, weight, frame = lift_to_2d(call, x, weight, frame)
    op = Conv(weight, None, frame.stride, frame.begin, frame.dilation, channels)
    y = call.add(op, x, roundings=2)  # sum, then division or product with a rounded reciprocal
    y = y if call.variable(0).rank == 4 else call.reshape(y, (*y.shape[:2], y.shape[3]))
    return y if even else affine(call, y, scale=1 / counts.astype(np.float64))


@importer("GlobalAveragePool")
def global_average_pool(call: Call) -> Variable:
    x = call.variable(0)
    return affine(call, call.add(Sum(tuple(range(2, x.rank))), x), scale=1 / math.prod(x.shape[2:]))


def _first_valid(index: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Per window (column) the first entry inside the image."""
    return index[valid.argmax(axis=0), np.arange(index.shape[1])]


def _open_mesh(axes: list[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Index arrays (k_d, o_d) spread so that together they index all combinations."""
    total = 2 * len(axes)
    mesh = []
    for d, index in enumerate(axes):
        shape = [1] * total
        shape[2 * d : 2 * d + 2] = index.shape
        mesh.append(index.reshape(shape))
    return tuple(mesh)


