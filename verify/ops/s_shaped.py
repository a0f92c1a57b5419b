"""Sigmoid and tanh: increasing, convex left of 0, concave right of 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from verify.ops.curve import Curve


@dataclass(frozen=True, eq=False)
class SShaped(Curve):
    """y = `height` sigmoid(`rate` x) + `bottom`; `derivative_at_value` is f' as a function of the value."""

    rate: ClassVar[float]
    breaks = (0.0,)
    bends = (1, -1)

    def derivative_at_value(self, y: Tensor) -> Tensor:
        """f'(x) expressed by y = f(x)."""
        raise NotImplementedError

    def derivative(self, x: Tensor) -> Tensor:
        # Without the cancellation of `derivative_at_value` where y is close to its end.
        decay = torch.exp(-self.rate * x.abs())
        return (self.top - self.bottom) * self.rate * decay / (1 + decay).square()

    def stationary(self, slope: Tensor, a: Tensor, b: Tensor, convex: bool) -> Tensor:
        """p (1 - p) = s for the smaller p: its logit, left of 0."""
        s = (slope / (self.rate * (self.top - self.bottom))).clamp(torch.finfo(slope.dtype).tiny, 0.25)
        p = 2 * s / (1 + (1 - 4 * s).sqrt())
        z = (p.log() - torch.log1p(-p)) / self.rate
        return z if convex else -z


@dataclass(frozen=True, eq=False)
class Sigmoid(SShaped):
    """y = 1 / (1 + exp(-x))."""

    bottom, top, rate = 0.0, 1.0, 1.0

    def evaluate(self, *xs: Tensor) -> Tensor:
        return torch.sigmoid(xs[0])

    def derivative_at_value(self, y: Tensor) -> Tensor:
        return y * (1 - y)


@dataclass(frozen=True, eq=False)
class Tanh(SShaped):
    """y = tanh(x)."""

    bottom, top, rate = -1.0, 1.0, 2.0

    def evaluate(self, *xs: Tensor) -> Tensor:
        return torch.tanh(xs[0])

    def derivative_at_value(self, y: Tensor) -> Tensor:
        return (1 - y) * (1 + y)
