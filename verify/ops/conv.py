"""Two-dimensional convolution and its transpose, (c, h, w) per image. One-dimensional ones are lifted by the importer.

The adjoint of a convolution is a transposed convolution with the same weight, and the reverse; the size that strides
make ambiguous is fixed by `output_padding`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv2d_input

from verify.errors import ShapeMismatch
from verify.ops.base import LinearOp, Shape, halved, none_if_empty
from verify.sets import Interval

Pair = tuple[int, int]


def _conv_size(size: int, kernel: int, stride: int, pad: int, dilation: int) -> int:
    return (size + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1


@dataclass(frozen=True, eq=False)
class _ConvBase(LinearOp):
    """Values are (n, 1 or more leading axes..., c, h, w) with exactly one leading axis, the ONNX batch."""

    weight: Tensor
    bias: Tensor | None = None
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    bias_magnitude: Tensor | None = None

    def _apply(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        raise NotImplementedError

    def evaluate(self, *xs: Tensor) -> Tensor:
        return self._apply(xs[0], self.weight, self.bias)

    def spread(self, *radii: Tensor) -> Tensor:
        # |W| r >= 0 exactly; a fast kernel (Winograd) may round below.
        return self._apply(radii[0], self.weight.abs(), None).clamp(min=0)

    def image(self, *inputs: Interval) -> Interval:
        total, width, weight = halved(inputs[0], self.weight)
        center = self._apply(total, weight, self.bias)
        radius = self._apply(width, weight.abs(), None)
        return Interval(center - radius, center + radius)

    def offset(self) -> Tensor | None:
        return None if self.bias is None else self.bias[None, None, :, None, None]

    def offset_magnitude(self) -> Tensor | None:
        if self.bias_magnitude is not None:
            return self.bias_magnitude[None, None, :, None, None]
        return super().offset_magnitude()

    def pull_back_offset(self, coeff: Tensor, wide: bool = True) -> Tensor | None:
        if self.bias is None:
            return None
        if not wide:
            return (coeff.sum((-1, -2)) @ self.bias).sum(2)
        return (coeff.sum((-1, -2), dtype=torch.float64) @ self.bias.double()).sum(2).to(coeff.dtype)


@dataclass(frozen=True, eq=False)
class Conv(_ConvBase):
    """`weight` (o, i / groups, kh, kw), `bias` (o); symmetric padding (the importer pads asymmetric ones first)."""

    def output_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        if len(shape) != 4 or shape[1] != self.weight.shape[1] * self.groups:
            raise ShapeMismatch(
                f"a convolution over {self.weight.shape[1] * self.groups} channels cannot take shape {list(shape)}"
            )
        sizes = [
            _conv_size(shape[2 + k], self.weight.shape[2 + k], self.stride[k], self.padding[k], self.dilation[k])
            for k in range(2)
        ]
        if min(sizes) <= 0:
            raise ShapeMismatch(f"a kernel {list(self.weight.shape[2:])} does not fit into shape {list(shape)}")
        return (shape[0], self.weight.shape[0], *sizes)

    @cached_property
    def silent(self) -> Tensor | None:
        mask, magnitude = (self.weight == 0).flatten(1).all(1)[None, None, :, None, None], self.offset_magnitude()
        return none_if_empty(mask if magnitude is None else mask & (magnitude == 0))

    def _apply(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        y = F.conv2d(x.flatten(0, 1), weight, bias, self.stride, self.padding, self.dilation, self.groups)
        return y.unflatten(0, x.shape[:2])

    def pull_back(self, coeff: Tensor, shapes: tuple[Shape, ...]) -> tuple[Tensor, ...]:
        lead, size = coeff.shape[:-3], shapes[0][-2:]
        rows = coeff.flatten(0, -4)
        if rows.dtype == torch.float64:
            # The same sums, 1.2 to 2.3 times as fast as the transposed convolution in this precision on a processor.
            whole = (len(rows), self.weight.shape[1] * self.groups, *size)
            x = conv2d_input(whole, self.weight, rows, self.stride, self.padding, self.dilation, self.groups)
            return (x.unflatten(0, lead),)
        extra = [
            size[k] - ((coeff.shape[-2 + k] - 1) * self.stride[k] - 2 * self.padding[k]
                       + self.dilation[k] * (self.weight.shape[2 + k] - 1) + 1)
            for k in range(2)
        ]
        x = F.conv_transpose2d(
            rows, self.weight, None, self.stride, self.padding, tuple(extra), self.groups, self.dilation,
        )
        return (x.unflatten(0, lead),)

    def terms(self, *shapes: Shape) -> int:
        kernel = self.weight[0, 0].numel()
        return max(self.forward_terms(*shapes), self.weight.shape[0] // self.groups * kernel)

    def forward_terms(self, *shapes: Shape) -> int:
        return self.weight[0].numel() + 1


@dataclass(frozen=True, eq=False)
class ConvTranspose(_ConvBase):
    """`weight` (i, o / groups, kh, kw), `bias` (o)."""

    output_padding: Pair = (0, 0)

    def output_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        if len(shape) != 4 or shape[1] != self.weight.shape[0]:
            raise ShapeMismatch(
                f"a transposed convolution over {self.weight.shape[0]} channels cannot take shape {list(shape)}"
            )
        sizes = [
            (shape[2 + k] - 1) * self.stride[k] - 2 * self.padding[k]
            + self.dilation[k] * (self.weight.shape[2 + k] - 1) + 1 + self.output_padding[k]
            for k in range(2)
        ]
        return (shape[0], self.weight.shape[1] * self.groups, *sizes)

    def _apply(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        y = F.conv_transpose2d(
            x.flatten(0, 1), weight, bias, self.stride, self.padding, self.output_padding, self.groups, self.dilation
        )
        return y.unflatten(0, x.shape[:2])

    def pull_back(self, coeff: Tensor, shapes: tuple[Shape, ...]) -> tuple[Tensor, ...]:
        lead, size = coeff.shape[:-3], shapes[0][-2:]
        x = F.conv2d(
            coeff.flatten(0, -4), self.weight, None, self.stride, self.padding, self.dilation, self.groups
        )
        return (x[..., : size[0], : size[1]].unflatten(0, lead),)

    def terms(self, *shapes: Shape) -> int:
        kernel = self.weight[0, 0].numel()
        return max(self.weight.shape[0] // self.groups, self.weight.shape[1]) * kernel + 1

    def forward_terms(self, *shapes: Shape) -> int:
        return self.weight.shape[0] // self.groups * self.weight[0, 0].numel() + 1
