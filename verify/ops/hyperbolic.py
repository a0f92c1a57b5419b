"""Sinh, Cosh and the inverse functions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from verify.ops.curve import Curve


@dataclass(frozen=True, eq=False)
class Sinh(Curve):
    """y = sinh(x)."""

    breaks, bends = (0.0,), (-1, 1)

    def evaluate(self, *xs: Tensor) -> Tensor:
        return xs[0].sinh()

    def derivative(self, x: Tensor) -> Tensor:
        return x.cosh()

    def stationary(self, slope: Tensor, a: Tensor, b: Tensor, convex: bool) -> Tensor:
        z = torch.acosh(slope.clamp(min=1))
        return z if convex else -z


@dataclass(frozen=True, eq=False)
class Cosh(Curve):
    """y = cosh(x)."""

    bends, turns = (1,), (0.0,)
    bottom = 1.0

    def evaluate(self, *xs: Tensor) -> Tensor:
        return xs[0].cosh()

    def derivative(self, x: Tensor) -> Tensor:
        return x.sinh()

    def stationary(self, slope: Tensor, a: Tensor, b: Tensor, convex: bool) -> Tensor:
        return torch.asinh(slope)


@dataclass(frozen=True, eq=False)
class Asinh(Curve):
    """y = asinh(x)."""

    breaks, bends = (0.0,), (1, -1)

    def evaluate(self, *xs: Tensor) -> Tensor:
        return xs[0].asinh()

    def derivative(self, x: Tensor) -> Tensor:
        return torch.hypot(x, torch.ones_like(x)).reciprocal()

    def stationary(self, slope: Tensor, a: Tensor, b: Tensor, convex: bool) -> Tensor:
        s = slope.clamp(torch.finfo(slope.dtype).tiny ** 0.5, 1)
        z = (s.reciprocal().square() - 1).clamp(min=0).sqrt()
        return -z if convex else z


@dataclass(frozen=True, eq=False)
class Acosh(Curve):
    """y = acosh(x), x >= 1."""

    low, closed = 1.0, True
    bends = (-1,)
    bottom = 0.0

    def evaluate(self, *xs: Tensor) -> Tensor:
        return xs[0].acosh()

    def derivative(self, x: Tensor) -> Tensor:
        return (x - 1).rsqrt() * (x + 1).rsqrt()

    def stationary(self, slope: Tensor, a: Tensor, b: Tensor, convex: bool) -> Tensor:
        finfo = torch.finfo(slope.dtype)
        # On the flat side: what is lost there by rounding is short of the end.
        return (1 + slope.clamp(min=finfo.tiny).reciprocal().square()).sqrt() * (1 + 2 * finfo.eps)


@dataclass(frozen=True, eq=False)
class Atanh(Curve):
    """y = atanh(x), -1 < x < 1."""

    low, high = -1.0, 1.0
    breaks, bends = (0.0,), (-1, 1)

    def evaluate(self, *xs: Tensor) -> Tensor:
        return xs[0].atanh()

    def derivative(self, x: Tensor) -> Tensor:
        return ((1 - x) * (1 + x)).reciprocal()

    def stationary(self, slope: Tensor, a: Tensor, b: Tensor, convex: bool) -> Tensor:
        # On the flat side: what is lost there by rounding is short of the end.
        z = (1 - slope.clamp(min=1).reciprocal()).sqrt() * (1 - 2 * torch.finfo(slope.dtype).eps)
        return z if convex else -z
