"""y = x r(x) with a gate r that rises from 0 to 1: GELU, SiLU, Mish, and HardSwish.

Falling, then rising; concave, convex between two points of inflection, concave.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import torch
from torch import Tensor

from verify.ops.curve import ULPS, Curve
from verify.ops.inverse import Inverse, between, beyond
from verify.sets import Interval

FACTOR, CUBIC = math.sqrt(8 / math.pi), 0.044715
DENSITY = 1 / math.sqrt(2 * math.pi)
FLAT = 100.0
"""GELU is 0 beyond -FLAT, up to less than the smallest normal number."""


@dataclass(frozen=True, eq=False)
class Gated(Curve):
    """y = x r(x)."""

    bends = (-1, 1, -1)
    far: ClassVar[float] = 40.0
    """f' has its limits at -far and far, up to rounding, with scale 1."""

    @abstractmethod
    def gate(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """r(x), r'(x)."""

    def sensitivity(self, x: Tensor) -> Tensor:
        """Bounds the relative error of `gate`, in units of eps: beyond a few ulp, that of the rounded argument of an
        exponential."""
        return ULPS + 4 * x.clamp(max=0).abs()

    @property
    def scale(self) -> float:
        """r is a function of scale x."""
        return 1.0

    def evaluate(self, *xs: Tensor) -> Tensor:
        return xs[0] * self.gate(xs[0])[0]

    def derivative(self, x: Tensor) -> Tensor:
        return self.both(x)[1]

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        gate, slope = self.gate(x)
        return x * gate, gate + x * slope

    def error(self, x: Tensor, y: Tensor) -> Tensor:
        finfo = torch.finfo(y.dtype)
        # A gate that underflows to 0 is below the smallest normal number.
        return finfo.eps * self.sensitivity(x) * y.abs() + finfo.tiny * (1 + x.abs())

    def derivative_error(self, x: Tensor, d: Tensor) -> Tensor:
        return self.errors(x, self.evaluate(x), d)[1]

    def errors(self, x: Tensor, y: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        finfo = torch.finfo(d.dtype)
        relative = finfo.eps * self.sensitivity(x)
        lost = finfo.tiny * (1 + x.abs())  # a gate that underflows is below the smallest normal number
        # r + |x| r': left of 0 that is 2 r - (r + x r').
        terms = torch.where(x < 0, 2 * y / x - d, d).abs()
        return relative * y.abs() + lost, 2 * relative * terms + lost * (1 + self.scale)

    def slack(self, pre: Interval) -> Tensor:
        # |f'''| <= 1 (times scale^2) next to a point of inflection that is off by less than 8 eps / scale: f' is off by
        # 64 eps^2 there.
        return 128 * torch.finfo(pre.lower.dtype).eps ** 2 * pre.width

    def stationary(self, slope: Tensor, a: Tensor, b: Tensor, convex: bool) -> Tensor:
        inner, left, right = _inverses(type(self), slope.dtype, slope.device)
        z = inner(slope) if convex else torch.where(a > 0, right(slope), left(slope))
        return z / self.scale


@cache
def _inverses(kind: type[Gated], dtype: torch.dtype, device: torch.device) -> tuple[Inverse, Inverse, Inverse]:
    """Of f' with scale 1: between the points of inflection, left of them, right of them."""
    op = kind()
    low, high = op.breaks
    found = (between(op.derivative, low, high), beyond(op.derivative, low, -op.far, 0.0),
             beyond(op.derivative, high, op.far, 1.0))
    return tuple(inverse.to(dtype, device) for inverse in found)


@dataclass(frozen=True, eq=False)
class Gelu(Gated):
    """y = x Phi(x), Phi the normal distribution: f'' = phi(x) (2 - x^2)."""

    breaks, turns, far = (-math.sqrt(2), math.sqrt(2)), (-0.7517915246935645,), 9.0

    def gate(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return 0.5 * torch.erfc(x * -math.sqrt(0.5)), torch.exp(-0.5 * x.square()) * DENSITY

    def sensitivity(self, x: Tensor) -> Tensor:
        return ULPS + 2 * x.clamp(-FLAT, 0).square()


@dataclass(frozen=True, eq=False)
class GeluTanh(Gated):
    """y = x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 = x sigmoid(w(x))."""

    breaks, turns, far = (-1.4185040087908284, 1.4185040087908284), (-0.7524614220710163,), 9.0

    def gate(self, x: Tensor) -> tuple[Tensor, Tensor]:
        square = x.square()
        w = x * (FACTOR + FACTOR * CUBIC * square)
        decay = torch.exp(-w.abs())
        steep = decay / (1 + decay).square() * (FACTOR + 3 * FACTOR * CUBIC * square)
        return torch.sigmoid(w), steep.nan_to_num(0.0)

    def sensitivity(self, x: Tensor) -> Tensor:
        low = -x.clamp(-FLAT, 0)
        return ULPS + 8 * low * (FACTOR + FACTOR * CUBIC * low.square())


@dataclass(frozen=True, eq=False)
class Silu(Gated):
    """y = x sigmoid(beta x), beta > 0 (SiLU, Swish)."""

    beta: float = 1.0

    @property
    def scale(self) -> float:
        return self.beta

    @property
    def breaks(self) -> tuple[float, ...]:
        return -2.3993572805154677 / self.beta, 2.3993572805154677 / self.beta

    @property
    def turns(self) -> tuple[float, ...]:
        return (-1.2784645427610738 / self.beta,)

    def gate(self, x: Tensor) -> tuple[Tensor, Tensor]:
        decay = torch.exp(-self.beta * x.abs())
        return torch.sigmoid(self.beta * x), self.beta * decay / (1 + decay).square()

    def sensitivity(self, x: Tensor) -> Tensor:
        return ULPS + 4 * (self.beta * x).clamp(max=0).abs()


@dataclass(frozen=True, eq=False)
class Mish(Gated):
    """y = x tanh(log(1 + exp(x))) = x n / (n + 2), n = exp(x) (exp(x) + 2)."""

    breaks, turns = (-2.2563763963607931, 1.4905711794854285), (-1.1924312145154952,)

    def gate(self, x: Tensor) -> tuple[Tensor, Tensor]:
        t = torch.exp(-x.abs())  # exp(x), or 1 / exp(x)
        right, square = x > 0, t.square()
        over = torch.where(right, 1 + 2 * t, 2 * t + square)
        under = over + 2 * torch.where(right, square, 1.0)
        return over / under, 4 * (1 + t) * torch.where(right, square, t) / under.square()


@dataclass(frozen=True, eq=False)
class HardSwish(Curve):
    """y = x clip(x + 3, 0, 6) / 6: 0, a parabola between -3 and 3, x."""

    breaks, bends, turns = (-3.0, 3.0), (0, 1, 0), (-1.5,)

    def evaluate(self, *xs: Tensor) -> Tensor:
        return xs[0] * ((xs[0] + 3).clamp(0, 6) / 6)

    def derivative(self, x: Tensor) -> Tensor:
        return torch.where(x.abs() <= 3, (2 * x + 3) / 6, (x > 0).to(x.dtype))

    def derivative_error(self, x: Tensor, d: Tensor) -> Tensor:
        return ULPS * torch.finfo(d.dtype).eps * (1 + d.abs())

    def stationary(self, slope: Tensor, a: Tensor, b: Tensor, convex: bool) -> Tensor:
        return 3 * slope - 1.5
