"""Sliding windows of convolutions and pools: their number, the padding, and what each of them reads."""

from __future__ import annotations

import operator
from collections import namedtuple
from collections.abc import Sequence

import numpy as np

from verify.certificate.checker.call import Call, Var

# Along each spatial axis window o reads positions o * stride + k * dilation - begin for k below kernel.
Frame = namedtuple("Frame", "kernel stride dilation begin end output")
LARGEST = 2**30
"""No size that describes windows is larger: products of two do not overflow."""


def frame(call: Call, size: Sequence[int], kernel: Sequence[int] = ()) -> Frame:
    """The windows that a node's attributes describe, on an image of `size`."""
    n, ones, auto = np.array(size), [1] * len(size), call.attribute("auto_pad", "NOTSET")
    k, s, d, pads = (np.array([operator.index(value) for value in call.attribute(name, default)]) for name, default in (
        ("kernel_shape", list(kernel)), ("strides", ones), ("dilations", ones), ("pads", [0, 0] * len(size))))
    if not all(part.shape == n.shape and part.min() >= 1 and part.max() <= LARGEST for part in (n, k, s, d)):
        raise call.refuse(f"windows of {k.tolist()}, strides {s.tolist()}, dilations {d.tolist()} on {n.tolist()}")
    reach = (k - 1) * d + 1
    begin, end = pads.reshape(2, -1) * (auto == "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        total = np.maximum(0, (-(-n // s) - 1) * s + reach - n)
        begin = (total + (auto == "SAME_LOWER")) // 2
        end = total - begin
    room = n + begin + end - reach
    if auto not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER") or not 0 <= pads.min() <= pads.max() <= LARGEST or (
            room.min() < 0 or begin.shape != n.shape or (call.attribute("ceil_mode", 0) and (room % s).any())):
        raise call.refuse(f"auto_pad {auto}, pads {pads.tolist()} or windows of {reach.tolist()} that do not fit an "
                          f"image of {n.tolist()}, or ceil_mode where it matters")
    return Frame(*(part.tolist() for part in (k, s, d, begin, end, room // s + 1)))


def windows(call: Call, x: Var, f: Frame, *, zeros: bool) -> np.ndarray:
    """What the windows read, (k, b, c, *output) flat positions in x. Entries outside of the image read -1 where they
    are `zeros`, otherwise along each axis on its own the first entry of the window inside."""
    rank = len(f.kernel)
    index = np.pad(x.index, [(0, 0), (0, 0), *[(0, 1)] * rank], constant_values=-1)
    for axis, n in enumerate(x.shape[2:]):
        start = np.arange(f.output[axis]) * f.stride[axis] - f.begin[axis]
        read = start + np.arange(f.kernel[axis])[:, None] * f.dilation[axis]
        inside, first = (read >= 0) & (read < n), np.where(start < 0, start % f.dilation[axis], start)
        if not inside.any(axis=0).all():
            raise call.refuse("a window lies entirely in the padding")
        index = np.take(index, np.where(inside, read, n if zeros else first), 2 + 2 * axis)
    order = [*range(2, 2 + 2 * rank, 2), 0, 1, *range(3, 3 + 2 * rank, 2)]
    return index.transpose(order).reshape(-1, *x.shape[:2], *f.output)
