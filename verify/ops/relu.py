"""ReLU: y = max(x, 0). The nonlinear primitive to copy."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from verify.ops.base import Op, Shape
from verify.sets import Interval


@dataclass(frozen=True, eq=False)
class Relu(Op):
    """Exact in floating point, monotone, piecewise linear with one breakpoint at 0."""

    def output_shape(self, *shapes: Shape) -> Shape:
        return shapes[0]

    def evaluate(self, *xs: Tensor) -> Tensor:
        return xs[0].clamp(min=0)

    def image(self, *inputs: Interval) -> Interval:
        # `relu` is differentiated in one pass over the values, `clamp` in two.
        return Interval(inputs[0].lower.relu(), inputs[0].upper.relu())

    def interval(self, *inputs: Interval) -> Interval:
        return Interval(inputs[0].lower.clamp(min=0), inputs[0].upper.clamp(min=0))
