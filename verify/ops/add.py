"""Sum of several values with signs: residual connections, differences."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from verify.errors import ShapeMismatch
from verify.ops.base import LinearOp, Shape
from verify.sets import Interval


@dataclass(frozen=True, eq=False)
class Add(LinearOp):
    """y = sum_k signs_k x_k, all of one shape; signs are +1 or -1."""

    signs: tuple[int, ...] = (1, 1)

    def output_shape(self, *shapes: Shape) -> Shape:
        if len(shapes) != len(self.signs) or len(set(shapes)) != 1:
            raise ShapeMismatch(f"cannot add shapes {[list(s) for s in shapes]}")
        return shapes[0]

    def evaluate(self, *xs: Tensor) -> Tensor:
        total = xs[0] if self.signs[0] > 0 else -xs[0]
        for sign, x in zip(self.signs[1:], xs[1:], strict=True):
            total = total + x if sign > 0 else total - x
        return total

    def spread(self, *radii: Tensor) -> Tensor:
        total = radii[0]
        for radius in radii[1:]:
            total = total + radius
        return total

    def image(self, *inputs: Interval) -> Interval:
        ends = [(i.lower, i.upper) if sign > 0 else (-i.upper, -i.lower)
                for sign, i in zip(self.signs, inputs, strict=True)]
        (lower, upper), *rest = ends
        for low, high in rest:
            lower, upper = lower + low, upper + high
        return Interval(lower, upper)

    def pull_back(self, coeff: Tensor, shapes: tuple[Shape, ...]) -> tuple[Tensor, ...]:
        return tuple(coeff if sign > 0 else -coeff for sign in self.signs)

    def terms(self, *shapes: Shape) -> int:
        return len(self.signs)
