"""y = x r(x) with a gate r that rises from 0 to 1: GELU, SiLU, Mish, and HardSwish.

Falling, then rising; concave, convex between two points of inflection, concave.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from verify.ops.curve import ULPS, Curve
from verify.sets import Interval

STEPS = 6
FACTOR, CUBIC = math.sqrt(8 / math.pi), 0.044715
DENSITY = 1 / math.sqrt(2 * math.pi)
FLAT = 100.0
"""GELU is 0 beyond -FLAT, up to less than the smallest normal number."""


def zero_between(low: Tensor, high: Tensor, function: Callable[[Tensor], Tensor], steps: int = STEPS) -> Tensor:
    """Approximate zero of a rising function on [low, high], the nearer end if there is none.

    Ridders' method: the middle m halves the bracket; then the zero of the line through the values, straightened by an
    exponential factor, z = m + (m - low) f(m) / sqrt(f(m)^2 - f(low) f(high)) downward."""
    at_low, at_high = function(low), function(high)
    best = torch.where(at_low.abs() < at_high.abs(), low, high)
    for _ in range(steps):
        middle = (low + high) / 2
        value = function(middle)
        root = (value.square() - at_low * at_high).clamp(min=0).sqrt()
        z = (middle - (middle - low) * (value / root)).nan_to_num(0.0)
        best = z = torch.where(root > 0, z, best).maximum(low).minimum(high)
        at_z = function(z)
        low, at_low, high, at_high = _bracket(low, at_low, high, at_high, middle, value)
        low, at_low, high, at_high = _bracket(low, at_low, high, at_high, z, at_z)
    return best


def _bracket(low: Tensor, at_low: Tensor, high: Tensor, at_high: Tensor, z: Tensor, at_z: Tensor
             ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The part of [low, high] on one side of z in which the function changes its sign."""
    up = (at_z < 0) & (z > low)
    down = (at_z >= 0) & (z < high)
    return (torch.where(up, z, low), torch.where(up, at_z, at_low),
            torch.where(down, z, high), torch.where(down, at_z, at_high))


@dataclass(frozen=True, eq=False)
class Gated(Curve):
    """y = x r(x)."""

    bends = (-1, 1, -1)
    far: ClassVar[float] = 40.0
    """|f' - r| and the distance of r from its limits are below the smallest relevant number beyond +- far."""

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

    def error(self, x: Tensor, y: Tensor) -> Tensor:
        finfo = torch.finfo(y.dtype)
        # A gate that underflows to 0 is below the smallest normal number.
        return finfo.eps * self.sensitivity(x) * y.abs() + finfo.tiny * (1 + x.abs())

    def derivative(self, x: Tensor) -> Tensor:
        gate, slope = self.gate(x)
        return gate + x * slope

    def derivative_error(self, x: Tensor, d: Tensor) -> Tensor:
        finfo, (gate, slope) = torch.finfo(d.dtype), self.gate(x)
        relative = 2 * finfo.eps * self.sensitivity(x) * (gate + x.abs() * slope)
        return relative + finfo.tiny * (1 + x.abs()) * (1 + self.scale)

    def slack(self, pre: Interval) -> Tensor:
        # |f'''| <= 1 (times scale^2) next to a point of inflection that is off by less than 8 eps / scale: f' is off by
        # 64 eps^2 there.
        return 128 * torch.finfo(pre.lower.dtype).eps ** 2 * pre.width

    def stationary(self, slope: Tensor, a: Tensor, b: Tensor, convex: bool) -> Tensor:
        """Solved for an angle of which f' is about the sine: f' is flat at the points of inflection, rises between them
        from `least` to `most`, and tends to 0 and 1 beyond."""
        least, most = self.derivative(torch.tensor(self.breaks, dtype=slope.dtype, device=slope.device))
        if convex:
            center, half = (most + least) / 2, (most - least) / 2
        else:  # f' falls
            center, half = (a > 0).to(slope.dtype), torch.where(a > 0, 1 - most, least)

        def angle(d: Tensor) -> Tensor:
            return torch.asin(((d - center) / half).clamp(-1, 1))

        far, wanted = self.far / self.scale, angle(slope)
        return zero_between(a.clamp(-far, far), b.clamp(-far, far), lambda z: angle(self.derivative(z)) - wanted)


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
