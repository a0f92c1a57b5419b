"""Product of two values, y = x1 x2, entry by entry. A value times itself is a `Power`, which has tighter bounds."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from verify.errors import ShapeMismatch
from verify.ops.base import Op, Shape
from verify.sets import Interval


@dataclass(frozen=True, eq=False)
class Product(Op):
    """Bilinear: its extrema over a box of both factors are at the corners."""

    def output_shape(self, *shapes: Shape) -> Shape:
        if len(shapes) != 2 or shapes[0] != shapes[1]:
            raise ShapeMismatch(f"cannot multiply shapes {[list(s) for s in shapes]}")
        return shapes[0]

    def evaluate(self, *xs: Tensor) -> Tensor:
        return xs[0] * xs[1]

    def image(self, *inputs: Interval) -> Interval:
        lower, upper = _extremes(*inputs)
        return Interval(lower, upper)

    def interval(self, *inputs: Interval) -> Interval:
        """The extreme corners, one rounding outward; no bound where 0 meets an unbounded factor."""
        lower, upper = _extremes(*inputs)
        info = torch.finfo(lower.dtype)
        # A product that underflows is off by at most `tiny`; exact zeros stay exact.
        low = torch.where(lower == 0, _lost(lower, *inputs), lower.abs() * info.eps + info.tiny)
        high = torch.where(upper == 0, _lost(upper, *inputs), upper.abs() * info.eps + info.tiny)
        lower = torch.nan_to_num(lower - low, nan=-torch.inf, posinf=-torch.inf, neginf=-torch.inf)
        upper = torch.nan_to_num(upper + high, nan=torch.inf, posinf=torch.inf, neginf=torch.inf)
        return Interval(lower, upper)


def _extremes(a: Interval, b: Interval) -> tuple[Tensor, Tensor]:
    corners = (a.lower * b.lower, a.lower * b.upper, a.upper * b.lower, a.upper * b.upper)
    low, high = torch.minimum(*corners[:2]), torch.maximum(*corners[:2])
    for corner in corners[2:]:
        low, high = torch.minimum(low, corner), torch.maximum(high, corner)
    return low, high


def _lost(value: Tensor, a: Interval, b: Interval) -> Tensor:
    """What a computed 0 may be off by: nothing where one factor is 0 throughout or an end of one is 0 exactly."""
    at_zero = (a.lower == 0) | (a.upper == 0) | (b.lower == 0) | (b.upper == 0)
    return torch.full_like(value, torch.finfo(value.dtype).tiny).masked_fill(at_zero, 0)
