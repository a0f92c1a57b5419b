"""Sliding windows of convolutions and pools: sizes, pads and which entries each window reads.

Along one axis, window o reads positions o * stride + k * dilation - begin for k = 0 .. kernel - 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from verify.errors import InvalidInput, ShapeMismatch
from verify.onnx_import.call import Call

Sizes = tuple[int, ...]


@dataclass(frozen=True)
class Window:
    """One entry per spatial axis; `overhang` is how far the last windows reach beyond the padded image (ceil_mode)."""

    size: Sizes
    kernel: Sizes
    stride: Sizes
    dilation: Sizes
    begin: Sizes
    end: Sizes
    output: Sizes

    @property
    def overhang(self) -> Sizes:
        last = [
            (o - 1) * s + (k - 1) * d + 1
            for o, s, k, d in zip(self.output, self.stride, self.kernel, self.dilation, strict=True)
        ]
        return tuple(
            max(0, need - b - n - e) for need, b, n, e in zip(last, self.begin, self.size, self.end, strict=True)
        )

    def unpadded(self) -> Window:
        """The same windows on an image that was padded already (`overhang` included)."""
        zeros = (0,) * len(self.size)
        size = tuple(sum(v) for v in zip(self.begin, self.size, self.end, self.overhang, strict=True))
        return replace(self, size=size, begin=zeros, end=zeros)

    def reads(self, call: Call) -> list[tuple[np.ndarray, np.ndarray]]:
        """Per axis: positions (k, o) and whether they lie in the image; every window must have one that does."""
        found = []
        for k in range(len(self.size)):
            index = (
                np.arange(self.kernel[k])[:, None] * self.dilation[k]
                + np.arange(self.output[k])[None, :] * self.stride[k] - self.begin[k]
            )
            valid = (index >= 0) & (index < self.size[k])
            if not valid.any(axis=0).all():
                raise call.refuse("a window lies entirely in the padding")
            found.append((index, valid))
        return found

    def counts(self, call: Call, include_pad: bool) -> np.ndarray:
        """Divisors of an average, one per output position; padding counts if asked, the overhang never does."""
        total = np.ones(())
        for k, (index, valid) in enumerate(self.reads(call)):
            inside = (index < self.size[k] + self.end[k]) if include_pad else valid
            total = total[..., None] * inside.sum(axis=0)
        return total


def window(call: Call, size: Sizes, kernel: Sizes) -> Window:
    """The windows that the attributes of a Conv or a pool describe."""
    rank = len(size)
    kernel = tuple(int(v) for v in call.attribute("kernel_shape", kernel))
    stride = tuple(call.attribute("strides") or (1,) * rank)
    dilation = tuple(call.attribute("dilations") or (1,) * rank)
    if not len(kernel) == len(stride) == len(dilation) == rank:
        raise ShapeMismatch(f"kernel {list(kernel)} with strides {list(stride)} does not fit spatial size {list(size)}")
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
    begin, end = _pads(call, size, reach, stride)
    ceil = bool(call.attribute("ceil_mode", 0))
    output = tuple(_windows(n + b + e - r, s, ceil, n + b) for n, b, e, r, s in
                   zip(size, begin, end, reach, stride, strict=True))
    if min(output) < 1:
        raise ShapeMismatch(f"a window of {list(reach)} does not fit into spatial size {list(size)}")
    return Window(tuple(size), kernel, stride, dilation, begin, end, output)


def _windows(room: int, stride: int, ceil: bool, last_start: int) -> int:
    """How many windows fit; with ceil_mode also one that sticks out, unless it would start beyond the image."""
    if room < 0:
        return 0
    count = (-(-room // stride) if ceil else room // stride) + 1
    if ceil and (count - 1) * stride >= last_start:
        count -= 1
    return count


def _pads(call: Call, size: Sizes, reach: Sizes, stride: Sizes) -> tuple[Sizes, Sizes]:
    auto = call.text("auto_pad", "NOTSET")
    rank = len(size)
    if auto in ("NOTSET", ""):
        pads = [int(v) for v in call.attribute("pads") or [0] * (2 * rank)]
        if len(pads) != 2 * rank or min(pads) < 0:
            raise InvalidInput(f"{call}: pads {pads} do not fit {rank} spatial axes")
        return tuple(pads[:rank]), tuple(pads[rank:])
    if auto == "VALID":
        return (0,) * rank, (0,) * rank
    if auto not in ("SAME_UPPER", "SAME_LOWER"):
        raise InvalidInput(f"{call}: auto_pad {auto!r} does not exist")
    total = [max(0, (-(-n // s) - 1) * s + r - n) for n, r, s in zip(size, reach, stride, strict=True)]
    small, large = tuple(t // 2 for t in total), tuple(t - t // 2 for t in total)
    return (small, large) if auto == "SAME_UPPER" else (large, small)
