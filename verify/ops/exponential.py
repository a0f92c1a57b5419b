"""Exp, Log, Softplus and the ELU family."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from verify.ops.curve import Curve


@dataclass(frozen=True, eq=False)
class Exp(Curve):
    """y = exp(x)."""

    bends = (1,)
    bottom = 0.0

    def evaluate(self, *xs: Tensor) -> Tensor:
        return xs[0].exp()

    def derivative(self, x: Tensor) -> Tensor:
        return x.exp()

    def stationary(self, slope: Tensor, a: Tensor, b: Tensor, convex: bool) -> Tensor:
        return slope.clamp(min=torch.finfo(slope.dtype).tiny).log()


@dataclass(frozen=True, eq=False)
class Log(Curve):
    """y = log(x), x > 0."""

    bends = (-1,)
    low = 0.0

    def evaluate(self, *xs: Tensor) -> Tensor:
        return xs[0].log()

    def derivative(self, x: Tensor) -> Tensor:
        return x.reciprocal()

    def stationary(self, slope: Tensor, a: Tensor, b: Tensor, convex: bool) -> Tensor:
        return slope.clamp(min=torch.finfo(slope.dtype).tiny).reciprocal()


@dataclass(frozen=True, eq=False)
class Softplus(Curve):
    """y = log(1 + exp(beta x)) / beta, beta > 0."""

    beta: float = 1.0
    bends = (1,)
    bottom = 0.0

    def evaluate(self, *xs: Tensor) -> Tensor:
        x = xs[0]
        return x.clamp(min=0) + torch.log1p(torch.exp(-self.beta * x.abs())) / self.beta

    def error(self, x: Tensor, y: Tensor) -> Tensor:
        # beta x is rounded: a relative error of |beta x| eps in exp(beta x), which is about y where it is small.
        finfo = torch.finfo(y.dtype)
        rounded = 2 * finfo.eps * (self.beta * x).clamp(max=0).abs() * y
        return super().error(x, y) + rounded + finfo.tiny / self.beta

    def derivative(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.beta * x)

    def derivative_error(self, x: Tensor, d: Tensor) -> Tensor:
        eps = torch.finfo(d.dtype).eps
        return super().derivative_error(x, d) + 2 * eps * (self.beta * x).clamp(max=0).abs() * d

    def stationary(self, slope: Tensor, a: Tensor, b: Tensor, convex: bool) -> Tensor:
        finfo = torch.finfo(slope.dtype)
        s = slope.clamp(finfo.tiny, 1 - finfo.eps / 2)
        return (s.log() - torch.log1p(-s)) / self.beta


@dataclass(frozen=True, eq=False)
class Elu(Curve):
    """y = gamma x for x > 0, gamma alpha (exp(beta x) - 1) for x <= 0, with beta, gamma > 0.

    ELU(alpha), SELU(alpha, gamma), CELU(a) = Elu(a, beta=1 / a).
    """

    alpha: float = 1.0
    gamma: float = 1.0
    beta: float = 1.0
    breaks = (0.0,)

    @property
    def bends(self) -> tuple[int, ...]:
        return ((self.alpha > 0) - (self.alpha < 0), 0)

    @property
    def turns(self) -> tuple[float, ...]:
        return (0.0,) if self.alpha < 0 else ()

    def evaluate(self, *xs: Tensor) -> Tensor:
        x = xs[0]
        return self.gamma * torch.where(x > 0, x, self.alpha * torch.expm1(self.beta * x.clamp(max=0)))

    def derivative(self, x: Tensor) -> Tensor:
        left = self.alpha * self.beta * torch.exp(self.beta * x.clamp(max=0))
        return self.gamma * torch.where(x > 0, 1.0, left)

    def derivative_error(self, x: Tensor, d: Tensor) -> Tensor:
        finfo = torch.finfo(d.dtype)
        rounded = 2 * finfo.eps * (self.beta * x).clamp(max=0).abs() * d.abs()
        return super().derivative_error(x, d) + rounded + finfo.tiny * self._height

    @property
    def _height(self) -> float:
        """What multiplies the exponential, or its derivative, at most."""
        return self.gamma * abs(self.alpha) * max(self.beta, 1.0)

    def error(self, x: Tensor, y: Tensor) -> Tensor:
        return super().error(x, y) + torch.finfo(y.dtype).tiny * self._height

    def stationary(self, slope: Tensor, a: Tensor, b: Tensor, convex: bool) -> Tensor:
        height = self.gamma * self.alpha * self.beta
        return (slope / height).clamp(min=torch.finfo(slope.dtype).tiny).log() / self.beta
