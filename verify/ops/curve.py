"""Unary nonlinear primitives y = f(z), elementwise, and what bounds need to know of f.

Between neighbouring `breaks` f is convex, concave or straight (`bends`); at its `turns` it changes from falling to
rising. With that, for a line of slope s the largest t with s z + t <= f(z) on [l, u] is the minimum of
g(z) = f(z) - s z, which is found piece by piece: on a concave or straight piece at its ends, on a convex piece near the
c with f'(c) = s (`stationary`). See `verify.relaxations.curve`.

`evaluate` may round; `error` bounds by how much. torch's elementary functions are within a few ulp of the true values;
`ULPS` is charged around every value. Outside of its domain a function has no bounds: (-inf, inf), so that a split may
still repair it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from verify.ops.base import Op, Shape
from verify.sets import Interval

ULPS = 8
UNDERFLOW = 16
"""What is lost below the normal numbers, in units of the smallest, by a function times a factor of about 1."""
Bound = float | Tensor
Pairs = tuple[tuple[Tensor, Tensor], ...]


def clip(z: Bound, pre: Interval) -> Tensor:
    """z, or the end of the interval that is closer to it."""
    return pre.lower.clamp(min=z).minimum(pre.upper)


@dataclass(frozen=True, eq=False)
class Curve(Op):
    """Base of all unary nonlinear primitives. A class without knots is one convex (or concave) piece."""

    low: ClassVar[float] = -math.inf
    high: ClassVar[float] = math.inf
    closed: ClassVar[bool] = False
    """f is defined and finite on (low, high), if `closed` on [low, high]."""
    bottom: ClassVar[float] = -math.inf
    top: ClassVar[float] = math.inf
    """bottom <= f <= top."""

    @property
    def breaks(self) -> tuple[float, ...]:
        """Constants, in order, at which f changes its curvature or has a kink. Those that are no floats are rounded,
        which `slack` charges."""
        return ()

    @property
    def bends(self) -> tuple[int, ...]:
        """For each of the pieces between the breaks: 1 convex, -1 concave, 0 straight."""
        raise NotImplementedError

    @property
    def turns(self) -> tuple[float, ...]:
        """Where f changes between rising and falling."""
        return ()

    def derivative(self, x: Tensor) -> Tensor:
        """f'(x) up to `derivative_error`; at a kink next to a curved piece, the derivative of that piece."""
        raise NotImplementedError

    def stationary(self, slope: Tensor, a: Tensor, b: Tensor, convex: bool) -> Tensor:
        """Some z with f'(z) close to `slope`, where [a, b] lies on a convex (else concave) piece: a guess, never NaN
        for a finite slope. Where there is none in [a, b], anything beyond the end that is nearer to it."""
        raise NotImplementedError

    def output_shape(self, *shapes: Shape) -> Shape:
        return shapes[0]

    def error(self, x: Tensor, y: Tensor) -> Tensor:
        """Bounds |y - f(x)| for y = `evaluate(x)`."""
        finfo = torch.finfo(y.dtype)
        return ULPS * finfo.eps * y.abs() + UNDERFLOW * finfo.tiny

    def derivative_error(self, x: Tensor, d: Tensor) -> Tensor:
        """Bounds |d - f'(x)| for d = `derivative(x)`."""
        finfo = torch.finfo(d.dtype)
        return ULPS * finfo.eps * d.abs() + UNDERFLOW * finfo.tiny

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`evaluate` and `derivative`, where they share work."""
        return self.evaluate(x), self.derivative(x)

    def errors(self, x: Tensor, y: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        """`error` and `derivative_error` of what `both` returned, where they share work."""
        return self.error(x, y), self.derivative_error(x, d)

    def slack(self, pre: Interval) -> Bound:
        """Bounds what minima over [l, u] lose because breaks are rounded."""
        return 0.0

    def defined(self, pre: Interval) -> Tensor:
        """Where f is defined on all of [l, u]: bool."""
        above = pre.lower >= self.low if self.closed or self.low == -math.inf else pre.lower > self.low
        return above & (pre.upper <= self.high if self.closed or self.high == math.inf else pre.upper < self.high)

    def knots(self, pre: Interval) -> tuple[Tensor, ...]:
        """Where f bends inside [l, u]; breaks outside count as the end that is closer."""
        return tuple(clip(z, pre) for z in self.breaks)

    def pieces(self, pre: Interval, slope: Tensor, convex: bool) -> Pairs:
        """[a, b] inside [l, u], which cover the convex (else concave) pieces on which f(z) - slope z may have its
        minimum (else maximum); those outside of [l, u] are single points of it."""
        ends = (-math.inf, *self.breaks, math.inf)
        return tuple((clip(a, pre), pre.upper.clamp(max=b).maximum(pre.lower))
                     for a, b, bend in zip(ends, ends[1:], self.bends, strict=False) if bend == (1 if convex else -1))

    def anchors(self, pre: Interval, convex: bool) -> Pairs:
        """(z, f(z)) in order: l, u and the breaks between two pieces that are not convex (else not concave). Together
        with `pieces` they include every possible minimum (else maximum) of f(z) - s z."""
        bends, wanted = self.bends, 1 if convex else -1
        corners = [z for k, z in enumerate(self.breaks) if wanted not in bends[k : k + 2]]
        points = (pre.lower, *(clip(z, pre) for z in corners), pre.upper)
        return tuple((z, self.evaluate(z)) for z in points)

    def bowl(self, pre: Interval, convex: bool) -> tuple[Tensor, Tensor] | None:
        """The piece [a, b] in which the best lines touch f if not at its anchors; None when there is no such piece.
        By default the last one that begins before u."""
        pieces = self.pieces(pre, pre.lower.new_zeros(()), convex)
        if not pieces:
            return None
        a, b = pieces[0]
        for c, d in pieces[1:]:
            later = c < pre.upper
            a, b = torch.where(later, c, a), torch.where(later, d, b)
        return a, b

    def reach(self, pre: Interval, convex: bool) -> Interval:
        """The interval whose ends the best lines touch if not in `bowl`."""
        return pre

    def slopes(self, pre: Interval) -> Interval:
        """Encloses f' on [l, u], and with it every difference quotient; (-inf, inf) where nothing does. f' is monotone
        between the knots."""
        ends, defined = (pre.lower, pre.upper, *self.knots(pre)), self.defined(pre)
        return _hull(ends, self.derivative, self.derivative_error, defined)

    def steepness(self, pre: Interval) -> Tensor:
        """Bounds |f'| on [l, u]; inf where nothing does."""
        return self.slopes(pre).magnitude

    def interval(self, *inputs: Interval) -> Interval:
        pre = inputs[0]
        ends, defined = (pre.lower, pre.upper, *(clip(turn, pre) for turn in self.turns)), self.defined(pre)
        found = _hull(ends, self.evaluate, self.error, defined)
        if self.bottom == -math.inf and self.top == math.inf:
            return found
        # Outside of its domain f does not keep its range either.
        return Interval(torch.where(defined, found.lower.clamp(min=self.bottom), -torch.inf),
                        torch.where(defined, found.upper.clamp(max=self.top), torch.inf))


def _hull(points: tuple[Tensor, ...], function: Callable[[Tensor], Tensor], error: Callable[[Tensor, Tensor], Tensor],
          defined: Tensor) -> Interval:
    """Encloses the function at all the points; everything where that is no number or not `defined`."""
    lower = upper = None
    for z in points:
        y = function(z)
        off = torch.where(y.isinf(), 0.0, error(z, y))
        lower = y - off if lower is None else torch.minimum(lower, y - off)
        upper = y + off if upper is None else torch.maximum(upper, y + off)
    # What overflows is at least half the largest number, but finite.
    half = torch.finfo(lower.dtype).max / 2
    lower, upper = lower.clamp(max=half), upper.clamp(min=-half)
    fine = defined & ~(lower.isnan() | upper.isnan())
    return Interval(torch.where(fine, lower, -torch.inf), torch.where(fine, upper, torch.inf))
