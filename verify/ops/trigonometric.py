"""Sin, Cos, Tan and the inverse functions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from verify.ops.curve import Curve, Pairs, clip
from verify.sets import Interval

HALF_TURN = math.pi
QUARTER = math.pi / 2
TURN = 2 * math.pi
ABOVE_QUARTER = 1.5707964
"""Above pi / 2, in float32 too."""


def phase_error(pre: Interval) -> Tensor:
    """Bounds how far multiples of pi near [l, u] are off as computed; inf where that is a notable part of a period."""
    eps = torch.finfo(pre.lower.dtype).eps
    off = 4 * eps * (1 + pre.magnitude)
    return torch.where(off < 2.0**-8, off, torch.inf)


def _extremes(pre: Interval, center: float) -> tuple[Tensor, Tensor]:
    """The first of the points center + 2 pi k from l on, and the last one up to u: none if the first is later."""
    return (center + TURN * ((pre.lower - center) / TURN).ceil(), center + TURN * ((pre.upper - center) / TURN).floor())


def _with_extremes(pre: Interval, ends: Interval, trough: float) -> Interval:
    """The range of -cos(x - trough) on [l, u], which encloses `ends`, its values at l and u."""
    off = phase_error(pre)
    wide = Interval(pre.lower - off, pre.upper + off)
    # NaN compares as false: for infinite ends everything is possible.
    low, high = (~torch.gt(*_extremes(wide, center)) for center in (trough, trough + HALF_TURN))
    return Interval(torch.where(low, -1.0, ends.lower), torch.where(high, 1.0, ends.upper))


@dataclass(frozen=True, eq=False)
class Wave(Curve):
    """-cos(x - trough): convex within a quarter turn of each trough, concave around each peak."""

    trough: ClassVar[float]
    bottom, top = -1.0, 1.0

    def _center(self, convex: bool) -> float:
        return self.trough if convex else self.trough + HALF_TURN

    def slack(self, pre: Interval) -> Tensor:
        # A part of a piece that is missed for its rounded ends is shorter than this, and |f'| <= 1; f'' is smaller
        # than this where it has the wrong sign. The slope's share is part of the charge for the product.
        return 4 * phase_error(pre)

    def pieces(self, pre: Interval, slope: Tensor, convex: bool) -> Pairs:
        """Two periods: g(z + 2 pi) = g(z) - 2 pi s, so a minimum is in the last ones if s >= 0, else in the first."""
        middle, forward = self._center(convex), (slope >= 0) == convex
        last = ((pre.upper - middle + QUARTER) / TURN).floor()
        first = ((pre.lower - middle - QUARTER) / TURN).ceil()
        one = torch.where(forward, last, first)
        two = torch.where(forward, one - 1, one + 1)
        return tuple(self._part(pre, middle + TURN * k) for k in (one, two))

    @staticmethod
    def _part(pre: Interval, center: Tensor) -> tuple[Tensor, Tensor]:
        return clip(center - QUARTER, pre), clip(center + QUARTER, pre)

    def anchors(self, pre: Interval, convex: bool) -> Pairs:
        return (pre.lower, self.evaluate(pre.lower)), (pre.upper, self.evaluate(pre.upper))

    def bowl(self, pre: Interval, convex: bool) -> tuple[Tensor, Tensor]:
        """Around the first trough inside, or the one outside that is next to the deeper end."""
        first, last = _extremes(pre, self._center(convex))
        left_deeper = (self.evaluate(pre.lower) < self.evaluate(pre.upper)) == convex
        return self._part(pre, torch.where((first > last) & left_deeper, first - TURN, first))

    def reach(self, pre: Interval, convex: bool) -> Interval:
        """Up to the last trough, if there are several: between them the best line is flat."""
        first, last = _extremes(pre, self._center(convex))
        return Interval(pre.lower, torch.where(last > first, last, pre.upper))

    def knots(self, pre: Interval) -> tuple[Tensor, ...]:
        """The first point of inflection from l on."""
        start = self.trough + QUARTER
        return (clip(start + HALF_TURN * ((pre.lower - start) / HALF_TURN).ceil(), pre),)

    def stationary(self, slope: Tensor, a: Tensor, b: Tensor, convex: bool) -> Tensor:
        center = self._center(convex)
        nearest = center + TURN * (((a + b) / 2 - center) / TURN).round()
        return nearest + torch.asin(slope.clamp(-1, 1)) * (1 if convex else -1)

    def interval(self, *inputs: Interval) -> Interval:
        return _with_extremes(inputs[0], super().interval(*inputs), self.trough)

    def slopes(self, pre: Interval) -> Interval:
        return _with_extremes(pre, super().slopes(pre), self.trough - QUARTER)


@dataclass(frozen=True, eq=False)
class Sin(Wave):
    """y = sin(x)."""

    trough = -QUARTER

    def evaluate(self, *xs: Tensor) -> Tensor:
        return xs[0].sin()

    def derivative(self, x: Tensor) -> Tensor:
        return x.cos()


@dataclass(frozen=True, eq=False)
class Cos(Wave):
    """y = cos(x)."""

    trough = HALF_TURN

    def evaluate(self, *xs: Tensor) -> Tensor:
        return xs[0].cos()

    def derivative(self, x: Tensor) -> Tensor:
        return -x.sin()


@dataclass(frozen=True, eq=False)
class Tan(Curve):
    """y = tan(x) between two poles; unbounded across one."""

    breaks = (0.0,)  # of the branch around 0; see `knots`
    bends = (-1, 1)

    def evaluate(self, *xs: Tensor) -> Tensor:
        return xs[0].tan()

    def derivative(self, x: Tensor) -> Tensor:
        return 1 + x.tan().square()

    @staticmethod
    def _center(pre: Interval) -> Tensor:
        """The multiple of pi around which the branch lies."""
        return HALF_TURN * (pre.center / HALF_TURN).round()

    def defined(self, pre: Interval) -> Tensor:
        center, room = self._center(pre), QUARTER - phase_error(pre)
        return (pre.lower > center - room) & (pre.upper < center + room)

    def slack(self, pre: Interval) -> Tensor:
        return 4 * phase_error(pre)

    def knots(self, pre: Interval) -> tuple[Tensor, ...]:
        return (clip(self._center(pre), pre),)

    def pieces(self, pre: Interval, slope: Tensor, convex: bool) -> Pairs:
        middle = clip(self._center(pre), pre)
        return ((middle, pre.upper) if convex else (pre.lower, middle),)

    def anchors(self, pre: Interval, convex: bool) -> Pairs:
        return (pre.lower, self.evaluate(pre.lower)), (pre.upper, self.evaluate(pre.upper))

    def stationary(self, slope: Tensor, a: Tensor, b: Tensor, convex: bool) -> Tensor:
        center = HALF_TURN * (((a + b) / 2) / HALF_TURN).round()
        away = torch.atan((slope - 1).clamp(min=0).sqrt())
        return center + away if convex else center - away


@dataclass(frozen=True, eq=False)
class Atan(Curve):
    """y = atan(x)."""

    breaks, bends = (0.0,), (1, -1)
    bottom, top = -ABOVE_QUARTER, ABOVE_QUARTER

    def evaluate(self, *xs: Tensor) -> Tensor:
        return xs[0].atan()

    def derivative(self, x: Tensor) -> Tensor:
        return (1 + x.square()).reciprocal()

    def stationary(self, slope: Tensor, a: Tensor, b: Tensor, convex: bool) -> Tensor:
        z = (slope.clamp(min=torch.finfo(slope.dtype).tiny).reciprocal() - 1).clamp(min=0).sqrt()
        return -z if convex else z


@dataclass(frozen=True, eq=False)
class Asin(Curve):
    """y = asin(x), -1 <= x <= 1."""

    low, high, closed = -1.0, 1.0, True
    breaks, bends = (0.0,), (-1, 1)

    def evaluate(self, *xs: Tensor) -> Tensor:
        return xs[0].asin()

    def derivative(self, x: Tensor) -> Tensor:
        return ((1 - x) * (1 + x)).rsqrt()

    def stationary(self, slope: Tensor, a: Tensor, b: Tensor, convex: bool) -> Tensor:
        z = _steep(slope)
        return z if convex else -z


@dataclass(frozen=True, eq=False)
class Acos(Curve):
    """y = acos(x), -1 <= x <= 1."""

    low, high, closed = -1.0, 1.0, True
    breaks, bends = (0.0,), (1, -1)

    def evaluate(self, *xs: Tensor) -> Tensor:
        return xs[0].acos()

    def derivative(self, x: Tensor) -> Tensor:
        return -((1 - x) * (1 + x)).rsqrt()

    def stationary(self, slope: Tensor, a: Tensor, b: Tensor, convex: bool) -> Tensor:
        z = _steep(-slope)
        return -z if convex else z


def _steep(slope: Tensor) -> Tensor:
    """z >= 0 with 1 / sqrt(1 - z^2) = s, on the flat side: what is lost there by its rounding is short of the end."""
    return (1 - slope.clamp(min=1).reciprocal().square()).sqrt() * (1 - 2 * torch.finfo(slope.dtype).eps)
