"""Sum over axes (means are sums followed by an `Affine`)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from verify.ops.base import LinearOp, Shape, outward
from verify.sets import Interval, gamma


@dataclass(frozen=True, eq=False)
class Sum(LinearOp):
    """y = sum over `axes` (non-negative, domain axis not counted); reduced axes stay with size 1."""

    axes: tuple[int, ...]

    def output_shape(self, *shapes: Shape) -> Shape:
        return tuple(1 if k in self.axes else size for k, size in enumerate(shapes[0]))

    def evaluate(self, *xs: Tensor) -> Tensor:
        return xs[0].sum([k + 1 for k in self.axes], keepdim=True)

    def spread(self, *radii: Tensor) -> Tensor:
        return self.evaluate(*radii)

    def interval(self, *inputs: Interval) -> Interval:
        """Each end by itself: sums of positive numbers stay positive, however large the other end is."""
        lower, upper = inputs[0].lower, inputs[0].upper
        unit = gamma(self.terms(lower.shape[1:]), lower.dtype)
        return outward(self.evaluate(lower), self.evaluate(upper), unit * self.evaluate(lower.abs()),
                       unit * self.evaluate(upper.abs()))

    def pull_back(self, coeff: Tensor, shapes: tuple[Shape, ...]) -> tuple[Tensor, ...]:
        return (coeff.expand(*coeff.shape[:2], *shapes[0]),)

    def terms(self, *shapes: Shape) -> int:
        return math.prod(shapes[0][k] for k in self.axes)
