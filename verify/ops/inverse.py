"""Where a derivative takes a value, from tables: for functions whose f'(z) = s has no closed form.

f' is monotone on a piece [low, high] and flat at the points of inflection at its ends, so that asin((f'(z) - c) / h),
which maps the values of f' between two points of inflection to [-pi / 2, pi / 2], is a smooth function of z with a
smooth inverse: a table with cubics in between. Beyond the last point of inflection f' tends to c, exponentially fast,
and the table is one of the logarithm of that angle.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from verify.ops.zero import zero_between

CELLS, EXACT_STEPS = 2048, 40
LEAST_ANGLE = 1e-12


@dataclass(frozen=True, eq=False)
class Inverse:
    """s -> z with f'(z) = s, up to about 1e-11 in s; for other s, the end at which f' is closer."""

    center: float
    half: float
    tail: bool
    start: float
    step: float
    rows: Tensor
    """(4, cells): coefficients of the cubics, the highest power first."""

    def __call__(self, slope: Tensor) -> Tensor:
        place = (_coordinate(slope, self.center, self.half, self.tail) - self.start) / self.step
        cell = place.long().clamp(0, self.rows.shape[1] - 1)
        share, (three, two, one, zero) = place - cell, self.rows
        return ((three[cell] * share + two[cell]) * share + one[cell]) * share + zero[cell]

    def to(self, dtype: torch.dtype, device: torch.device) -> Inverse:
        return replace(self, rows=self.rows.to(device, dtype))


def _coordinate(d: Tensor, center: float, half: float, tail: bool) -> Tensor:
    """What the table is one of, for a value d of f'."""
    share = (d - center) / half
    if not tail:
        return torch.asin(share.clamp(-1, 1))
    return torch.asin(share.clamp(math.sin(LEAST_ANGLE), 1)).log()


def between(derivative: Callable[[Tensor], Tensor], low: float, high: float) -> Inverse:
    """For the piece between two points of inflection, on which f' rises."""
    least, most = derivative(torch.tensor([low, high], dtype=torch.float64)).tolist()
    return _tabulated(derivative, low, high, (most + least) / 2, (most - least) / 2, tail=False)


def beyond(derivative: Callable[[Tensor], Tensor], bend: float, far: float, limit: float) -> Inverse:
    """For the piece from a point of inflection on, to `far`, where f' is `limit` up to rounding."""
    steepest = derivative(torch.tensor(bend, dtype=torch.float64)).item()
    return _tabulated(derivative, far, bend, limit, steepest - limit, tail=True)


def _tabulated(derivative: Callable[[Tensor], Tensor], first: float, last: float, center: float, half: float,
               tail: bool) -> Inverse:
    """The coordinate rises on the way from z = `first` to z = `last`."""
    from scipy.interpolate import CubicSpline  # takes long to load, and few networks need it

    start, stop = (math.log(LEAST_ANGLE) if tail else -math.pi / 2), (math.log(math.pi / 2) if tail else math.pi / 2)
    places = torch.linspace(start, stop, CELLS + 1, dtype=torch.float64)

    def off(share: Tensor) -> Tensor:
        return _coordinate(derivative(first + share * (last - first)), center, half, tail) - places

    share = zero_between(torch.zeros_like(places), torch.ones_like(places), off, EXACT_STEPS)
    spline = CubicSpline(range(CELLS + 1), (first + share * (last - first)).numpy())
    return Inverse(center, half, tail, start, (stop - start) / CELLS, torch.from_numpy(spline.c.copy()))
