"""Steps: Floor, Ceil, Round, Sign, and comparisons with 0. Exact; constant between their jumps."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from verify.ops.curve import Curve, Pairs
from verify.sets import Interval


@dataclass(frozen=True, eq=False)
class Step(Curve):
    """An increasing step function. On [l, u] its lines touch it at the ends or on one side of a jump."""

    bends = (0,)

    @abstractmethod
    def jumps(self, pre: Interval, lower: bool) -> Pairs:
        """(z, f(z-)) of the first and of the last jump with l < z <= u if `lower`, else (z, f(z+)) of those with
        l <= z < u. Where there are none, z is outside of [l, u], on either side."""

    def derivative(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)

    def error(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.zeros_like(y)

    def derivative_error(self, x: Tensor, d: Tensor) -> Tensor:
        return torch.zeros_like(d)

    def slopes(self, pre: Interval) -> Interval:
        flat = self.evaluate(pre.lower) == self.evaluate(pre.upper)
        return Interval(torch.zeros_like(pre.lower), torch.where(flat, 0.0, torch.inf))

    def anchors(self, pre: Interval, convex: bool) -> Pairs:
        """The ends, and between them the jumps, as what they are for the lower (else the upper) line."""
        (l, u), (at_l, at_u) = (pre.lower, pre.upper), (self.evaluate(pre.lower), self.evaluate(pre.upper))
        found = [(l, at_l)]
        for z, y in self.jumps(pre, convex):
            inside = (l < z) & (z <= u) if convex else (l <= z) & (z < u)
            found.append((torch.where(inside, z, l), torch.where(inside, y, at_l)))
        return (*found, (u, at_u))


@dataclass(frozen=True, eq=False)
class _Stairs(Step):
    """Jumps by 1 at k + `offset` for all integers k, from k + `rise` on."""

    offset = 0.0
    rise = 0.0

    def jumps(self, pre: Interval, lower: bool) -> Pairs:
        l, u = pre.lower - self.offset, pre.upper - self.offset
        ends = (l.floor() + 1, u.floor()) if lower else (l.ceil(), u.ceil() - 1)
        # Beyond 1 / eps the sums are rounded, by less than the charge for rounding (eps times the value).
        return tuple((k + self.offset, k + (self.rise if lower else self.rise + 1)) for k in ends)

    def knots(self, pre: Interval) -> tuple[Tensor, ...]:
        """The jump next to the middle."""
        z = (pre.center - self.offset).round() + self.offset
        return (z.maximum(pre.lower).minimum(pre.upper),)


@dataclass(frozen=True, eq=False)
class Floor(_Stairs):
    """y = the largest integer <= x."""

    rise = -1.0

    def evaluate(self, *xs: Tensor) -> Tensor:
        return xs[0].floor()


@dataclass(frozen=True, eq=False)
class Ceil(_Stairs):
    """y = the smallest integer >= x."""

    def evaluate(self, *xs: Tensor) -> Tensor:
        return xs[0].ceil()


@dataclass(frozen=True, eq=False)
class Round(_Stairs):
    """y = the nearest integer, the even one of two."""

    offset = 0.5

    def evaluate(self, *xs: Tensor) -> Tensor:
        return xs[0].round()


@dataclass(frozen=True, eq=False)
class _Jump(Step):
    """One jump at 0, from `bottom` to `top`."""

    breaks, bends = (0.0,), (0, 0)

    def jumps(self, pre: Interval, lower: bool) -> Pairs:
        zero = torch.zeros_like(pre.lower)
        return ((zero, zero + (self.bottom if lower else self.top)),)


@dataclass(frozen=True, eq=False)
class Sign(_Jump):
    """y = -1, 0 or 1 for x < 0, x = 0, x > 0."""

    bottom, top = -1.0, 1.0

    def evaluate(self, *xs: Tensor) -> Tensor:
        return xs[0].sign()


@dataclass(frozen=True, eq=False)
class Positive(_Jump):
    """y = 1 for x > 0 (x >= 0 if `or_zero`), else 0."""

    or_zero: bool = False
    bottom, top = 0.0, 1.0

    def evaluate(self, *xs: Tensor) -> Tensor:
        return (xs[0] >= 0 if self.or_zero else xs[0] > 0).to(xs[0].dtype)
