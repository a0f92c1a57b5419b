"""Sigmoid and tanh: increasing, convex left of 0, concave right of 0.

torch's float64 values are within a few ulp of the true ones; `ULPS` is charged around every value, and the known
range ([0, 1], [-1, 1]) is met again afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from verify.ops.base import Op, Shape
from verify.sets import Interval

ULPS = 8


@dataclass(frozen=True, eq=False)
class SShaped(Op):
    """An S-shaped function with range (`bottom`, `top`); `derivative` is given as a function of the value."""

    bottom: ClassVar[float]
    top: ClassVar[float]

    def derivative_at_value(self, y: Tensor) -> Tensor:
        """f'(x) expressed by y = f(x)."""
        raise NotImplementedError

    def output_shape(self, *shapes: Shape) -> Shape:
        return shapes[0]

    def error(self, y: Tensor) -> Tensor:
        """Bounds |computed f(x) - f(x)| for a computed value y."""
        finfo = torch.finfo(y.dtype)
        return ULPS * finfo.eps * y.abs() + finfo.tiny

    def interval(self, *inputs: Interval) -> Interval:
        lower, upper = self.evaluate(inputs[0].lower), self.evaluate(inputs[0].upper)
        return Interval(
            (lower - self.error(lower)).clamp(min=self.bottom), (upper + self.error(upper)).clamp(max=self.top)
        )


@dataclass(frozen=True, eq=False)
class Sigmoid(SShaped):
    """y = 1 / (1 + exp(-x))."""

    bottom, top = 0.0, 1.0

    def evaluate(self, *xs: Tensor) -> Tensor:
        return torch.sigmoid(xs[0])

    def derivative_at_value(self, y: Tensor) -> Tensor:
        return y * (1 - y)


@dataclass(frozen=True, eq=False)
class Tanh(SShaped):
    """y = tanh(x)."""

    bottom, top = -1.0, 1.0

    def evaluate(self, *xs: Tensor) -> Tensor:
        return torch.tanh(xs[0])

    def derivative_at_value(self, y: Tensor) -> Tensor:
        return (1 - y) * (1 + y)
