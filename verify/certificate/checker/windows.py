"""Sliding windows of convolutions and pools: their number, the padding, and what each of them reads."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence

import numpy as np

from verify.certificate.checker.call import Call, Var

# Along each spatial axis window o reads positions o * stride + k * dilation - begin for k below kernel.
Frame = namedtuple("Frame", "kernel stride dilation begin end output")


def frame(call: Call, size: Sequence[int], kernel: Sequence[int] = (), *, sticks_out: bool = True) -> Frame:
    """The windows that a node's attributes describe, on an image of `size`; not `sticks_out` refuses those of
    ceil_mode that read beyond the padded image."""
    kernel = tuple(call.attribute("kernel_shape", kernel))
    stride, dilation = (tuple(call.attribute(name) or (1,) * len(size)) for name in ("strides", "dilations"))
    pads, auto = call.attribute("pads") or [0] * (2 * len(size)), call.attribute("auto_pad", "NOTSET")
    begin, end = pads[: len(size)], pads[len(size) :]
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        total = [max(0, (-(-n // s) - 1) * s + r - n) for n, s, r in zip(size, stride, reach, strict=True)]
        begin, end = [t // 2 for t in total], [t - t // 2 for t in total]
        begin, end = (begin, end) if auto == "SAME_UPPER" else (end, begin)
    elif auto == "VALID":
        begin = end = [0] * len(size)
    elif auto != "NOTSET" or min(pads) < 0:
        raise call.refuse(f"auto_pad {auto} or negative pads")
    room = [n + b + e - r for n, b, e, r in zip(size, begin, end, reach, strict=True)]
    output = [r // s + 1 for r, s in zip(room, stride, strict=True)]
    if call.attribute("ceil_mode", 0):
        # One more window that sticks out, unless it would start beyond the image and its front padding.
        output = [o + (r >= 0 and r % s > 0 and o * s < n + b)
                  for o, r, s, n, b in zip(output, room, stride, size, begin, strict=True)]
    if not sticks_out and any((o - 1) * s > r for o, r, s in zip(output, room, stride, strict=True)):
        raise call.refuse("ceil_mode with windows that stick out of the padded image")
    if min(output) < 1 or min(*kernel, *stride, *dilation) < 1:
        raise call.refuse(f"windows of {reach} do not fit an image of {list(size)}")
    return Frame(kernel, stride, dilation, tuple(begin), tuple(end), tuple(output))


def windows(call: Call, x: Var, f: Frame) -> tuple[np.ndarray, np.ndarray]:
    """What the windows read, (k, b, c, *output) flat positions in x, and which of that lies in the image."""
    index, rank = x.index, len(f.kernel)
    inside = np.ones(x.shape, dtype=bool)
    for axis, size in enumerate(x.shape[2:]):
        read = np.arange(f.kernel[axis])[:, None] * f.dilation[axis] - f.begin[axis]
        read = read + np.arange(f.output[axis]) * f.stride[axis]
        valid = (read >= 0) & (read < size)
        if not valid.any(axis=0).all():
            raise call.refuse("a window lies entirely in the padding")
        read = np.where(valid, read, read[valid.argmax(axis=0), np.arange(read.shape[1])])
        index, inside = (np.take(part, read, 2 + 2 * axis) for part in (index, inside))
        inside = inside & valid.reshape(*valid.shape, *(1 for _ in x.shape[3 + axis :]))
    order = [*range(2, 2 + 2 * rank, 2), 0, 1, *range(3, 3 + 2 * rank, 2)]
    index, inside = (part.transpose(order).reshape(-1, *x.shape[:2], *f.output) for part in (index, inside))
    return index, inside
