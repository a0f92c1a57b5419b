"""Elementwise affine map with constants: y = scale * x + shift (bias additions, normalisations)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from verify.ops.base import LinearOp, Shape, none_if_empty, outward, wide_sum
from verify.sets import Interval, gamma


@dataclass(frozen=True, eq=False)
class Affine(LinearOp):
    """`scale` and `shift` broadcast against the input shape without enlarging it; None stands for 1 and 0.

    `shift_magnitude` bounds the terms that rewrites folded into the shift.
    """

    scale: Tensor | None = None
    shift: Tensor | None = None
    shift_magnitude: Tensor | None = None

    def output_shape(self, *shapes: Shape) -> Shape:
        return shapes[0]

    def evaluate(self, *xs: Tensor) -> Tensor:
        y = xs[0] if self.scale is None else xs[0] * self.scale
        return y if self.shift is None else y + self.shift

    def spread(self, *radii: Tensor) -> Tensor:
        return radii[0] if self.scale is None else radii[0] * self.scale.abs()

    def interval(self, *inputs: Interval) -> Interval:
        """Each end by itself: 1 + x stays positive for x >= 0, however large the other end is."""
        low, high = inputs[0].lower, inputs[0].upper
        if self.scale is not None:
            low, high = torch.where(self.scale < 0, high, low), torch.where(self.scale < 0, low, high)
        found = outward(self.evaluate(low), self.evaluate(high), self._lost(low), self._lost(high))
        if self.silent is None:
            return found
        return Interval(found.lower.masked_fill(self.silent, 0), found.upper.masked_fill(self.silent, 0))

    def _lost(self, x: Tensor) -> Tensor:
        """Bounds the rounding of the value at x; a product with 0 does not underflow."""
        unit, total, magnitude = gamma(2, x.dtype), self.spread(x.abs()), self.offset_magnitude()
        tiny = 8 * torch.finfo(x.dtype).tiny * (x != 0)
        return unit * (total if magnitude is None else total + magnitude) + tiny

    def image(self, *inputs: Interval) -> Interval:
        if self.scale is not None:
            return super().image(*inputs)
        return Interval(self.evaluate(inputs[0].lower), self.evaluate(inputs[0].upper))

    def offset(self) -> Tensor | None:
        return self.shift

    def offset_magnitude(self) -> Tensor | None:
        return self.shift_magnitude if self.shift_magnitude is not None else super().offset_magnitude()

    @cached_property
    def silent(self) -> Tensor | None:
        if self.scale is None:
            return None
        magnitude = self.offset_magnitude()
        return none_if_empty(self.scale == 0 if magnitude is None else (self.scale == 0) & (magnitude == 0))

    def pull_back(self, coeff: Tensor, shapes: tuple[Shape, ...]) -> tuple[Tensor, ...]:
        return (coeff if self.scale is None else coeff * self.scale,)

    def pull_back_offset(self, coeff: Tensor, wide: bool = True) -> Tensor | None:
        return None if self.shift is None else wide_sum(coeff * self.shift, wide)

    def terms(self, *shapes: Shape) -> int:
        return 2
