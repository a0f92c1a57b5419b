"""Dense linear map over the last axis: y = x W^T + b."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from verify.errors import ShapeMismatch
from verify.ops.base import LinearOp, Shape, halved, none_if_empty
from verify.sets import Interval, gamma


@dataclass(frozen=True, eq=False)
class Linear(LinearOp):
    """`weight` (o, i), `bias` (o) or None. Inputs (n, *lead, i) -> (n, *lead, o).

    When rewrites folded other maps in, `bias_magnitude` (o) bounds the terms that met in the bias, and the weights
    may deviate from the exact product by at most gamma_i (of float64, in which the product was formed) times
    `row_noise`_o `column_noise`_i (both given or both None).
    """

    weight: Tensor
    bias: Tensor | None = None
    bias_magnitude: Tensor | None = None
    row_noise: Tensor | None = None
    column_noise: Tensor | None = None

    def output_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        if not shape or shape[-1] != self.weight.shape[1]:
            raise ShapeMismatch(f"a linear layer with {self.weight.shape[1]} inputs cannot take shape {list(shape)}")
        return (*shape[:-1], self.weight.shape[0])

    def evaluate(self, *xs: Tensor) -> Tensor:
        y = xs[0] @ self.weight.T
        return y if self.bias is None else y + self.bias

    def spread(self, *radii: Tensor) -> Tensor:
        return radii[0] @ self.weight.abs().T

    def offset(self) -> Tensor | None:
        return self.bias

    def offset_magnitude(self) -> Tensor | None:
        return self.bias_magnitude if self.bias_magnitude is not None else super().offset_magnitude()

    @cached_property
    def silent(self) -> Tensor | None:
        mask = (self.weight == 0).all(1)
        for terms in (self.offset_magnitude(), self.row_noise):
            mask = mask if terms is None else mask & (terms == 0)
        return none_if_empty(mask)

    def pull_back(self, coeff: Tensor, shapes: tuple[Shape, ...]) -> tuple[Tensor, ...]:
        return (coeff @ self.weight,)

    def image(self, *inputs: Interval) -> Interval:
        total, width, weight = halved(inputs[0], self.weight)
        center = total @ weight.T
        center = center if self.bias is None else center + self.bias
        radius = width @ weight.abs().T
        return Interval(center - radius, center + radius)

    def pull_back_offset(self, coeff: Tensor, wide: bool = True) -> Tensor | None:
        if self.bias is None:
            return None
        if not wide:
            return (coeff @ self.bias).reshape(*coeff.shape[:2], -1).sum(2)
        return (coeff.double() @ self.bias.double()).reshape(*coeff.shape[:2], -1).sum(2).to(coeff.dtype)

    def terms(self, *shapes: Shape) -> int:
        return max(self.weight.shape[1] + 1, self.weight.shape[0])

    def forward_terms(self, *shapes: Shape) -> int:
        return self.weight.shape[1] + 1

    def rounding(self, *magnitudes: Tensor) -> Tensor:
        total = super().rounding(*magnitudes)
        if self.row_noise is not None:
            extra = (magnitudes[0] @ self.column_noise).unsqueeze(-1) * self.row_noise
            total = total + gamma(self.weight.shape[1], torch.float64) * extra
        return total
