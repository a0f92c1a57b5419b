"""Where values come from: the network input, and constants that the graph mixes with it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from verify.errors import BrokenInvariant
from verify.ops.base import LinearOp, Op, Shape
from verify.sets import Interval


@dataclass(frozen=True, eq=False)
class Input(Op):
    """The network input. The walks stop here; it has no rules of its own."""

    linear = True
    shape: Shape

    def output_shape(self, *shapes: Shape) -> Shape:
        return self.shape

    def evaluate(self, *xs: Tensor) -> Tensor:
        raise BrokenInvariant("the input node is given, not evaluated")

    def interval(self, *inputs: Interval) -> Interval:
        raise BrokenInvariant("the input node is given, not evaluated")


@dataclass(frozen=True, eq=False)
class Constant(LinearOp):
    """A fixed tensor: y = b. `value`: (*shape). A graph in float32 holds it rounded, which the bounds charge."""

    value: Tensor

    def output_shape(self, *shapes: Shape) -> Shape:
        return tuple(self.value.shape)

    def evaluate(self, *xs: Tensor) -> Tensor:
        return self.value.unsqueeze(0)

    def spread(self, *radii: Tensor) -> Tensor:
        return self.value.unsqueeze(0) * 0

    def offset(self) -> Tensor:
        return self.value.unsqueeze(0)

    def pull_back(self, coeff: Tensor, shapes: tuple[Shape, ...]) -> tuple[Tensor, ...]:
        return ()
