"""Powers: x^p, sqrt, 1 / x."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from verify.ops.curve import Curve
from verify.sets import Interval


@dataclass(frozen=True, eq=False)
class Sqrt(Curve):
    """y = sqrt(x), x >= 0."""

    bends = (-1,)
    low, closed = 0.0, True
    bottom = 0.0

    def evaluate(self, *xs: Tensor) -> Tensor:
        return xs[0].sqrt()

    def derivative(self, x: Tensor) -> Tensor:
        return 0.5 * x.abs().rsqrt()  # not -inf at -0

    def stationary(self, slope: Tensor, a: Tensor, b: Tensor, convex: bool) -> Tensor:
        return (0.5 / slope.clamp(min=torch.finfo(slope.dtype).tiny)).square()


@dataclass(frozen=True, eq=False)
class Reciprocal(Curve):
    """y = 1 / x on either side of 0; unbounded across it."""

    breaks = (0.0,)
    bends = (-1, 1)

    def evaluate(self, *xs: Tensor) -> Tensor:
        return xs[0].reciprocal()

    def derivative(self, x: Tensor) -> Tensor:
        return -x.reciprocal().square()

    def defined(self, pre: Interval) -> Tensor:
        return (pre.lower > 0) | (pre.upper < 0)

    def knots(self, pre: Interval) -> tuple[Tensor, ...]:
        return ()  # 0 is never inside where f is defined

    def stationary(self, slope: Tensor, a: Tensor, b: Tensor, convex: bool) -> Tensor:
        z = (-slope).clamp(min=torch.finfo(slope.dtype).tiny).rsqrt()
        return z if convex else -z


@dataclass(frozen=True, eq=False)
class Power(Curve):
    """y = x^exponent: for an integer on all x (a negative one on either side of 0), else on x > 0 (x >= 0 if > 0)."""

    exponent: float

    @property
    def whole(self) -> bool:
        """The exponent is an integer."""
        return float(self.exponent).is_integer()

    @property
    def odd(self) -> bool:
        return self.whole and self.exponent % 2 == 1

    @property
    def bottom(self) -> float:
        """What the root of a square, a length, may count on."""
        return -math.inf if self.odd else 0.0

    @property
    def breaks(self) -> tuple[float, ...]:
        return (0.0,) if self.whole and (self.exponent < 0 or self.odd) and self.exponent != 1 else ()

    @property
    def bends(self) -> tuple[int, ...]:
        if self.exponent in (0, 1):
            return (0,)
        curve = 1 if self.exponent > 1 or self.exponent < 0 else -1
        return (-1 if self.odd else 1, curve) if self.breaks else (curve,)

    @property
    def turns(self) -> tuple[float, ...]:
        return (0.0,) if self.whole and self.exponent > 0 and not self.odd else ()

    def evaluate(self, *xs: Tensor) -> Tensor:
        return xs[0].pow(self.exponent)

    def error(self, x: Tensor, y: Tensor) -> Tensor:
        return super().error(x, y) + self._exponent_error(x, y)

    def derivative(self, x: Tensor) -> Tensor:
        if self.exponent == 0:
            return torch.zeros_like(x)
        return self.exponent * (x if self.whole else x.abs()).pow(self.exponent - 1)  # not -inf at -0

    def derivative_error(self, x: Tensor, d: Tensor) -> Tensor:
        return super().derivative_error(x, d) + self._exponent_error(x, d)

    def _exponent_error(self, x: Tensor, y: Tensor) -> Tensor | float:
        """float32 holds the exponent itself only up to rounding. And the factor multiplies what underflows."""
        finfo = torch.finfo(y.dtype)
        lost = finfo.tiny * abs(self.exponent)
        if self.whole:
            return lost
        return lost + finfo.eps * (abs(self.exponent) + 1) * x.abs().clamp(min=finfo.tiny).log().abs() * y.abs()

    def defined(self, pre: Interval) -> Tensor:
        if not self.whole:
            return pre.lower >= 0 if self.exponent > 0 else pre.lower > 0
        if self.exponent < 0:
            return (pre.lower > 0) | (pre.upper < 0)
        return super().defined(pre)

    def knots(self, pre: Interval) -> tuple[Tensor, ...]:
        return super().knots(pre) if self.exponent > 0 else ()  # 0 is never inside where f is defined

    def stationary(self, slope: Tensor, a: Tensor, b: Tensor, convex: bool) -> Tensor:
        """p z^(p - 1) = s."""
        ratio, root = slope / self.exponent + 0.0, 1 / (self.exponent - 1)  # a root of -0 may be -inf
        if not self.whole or self.odd:
            z = ratio.clamp(min=0).pow(root)
            return z if convex or not self.odd else -z
        right, left = ratio.clamp(min=0).pow(root), -(-ratio).clamp(min=0).pow(root)
        if self.exponent > 0:
            return torch.where(ratio > 0, right, left)
        return torch.where(a >= 0, right, left)
