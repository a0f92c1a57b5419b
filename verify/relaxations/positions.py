"""Curves whose lines an optimiser moves: a position in [0, 1] between two slopes of each side, and the best intercept.

Certificates name the lines of sigmoid and tanh by their place between two fixed slopes; every other curve has the whole
range of tangents, from one end of the interval to the other.
"""

from __future__ import annotations

from functools import singledispatch

import torch
from torch import Tensor

from verify.ops import Curve, SShaped
from verify.relaxations.base import Lines
from verify.relaxations.curve import NEAR_END, candidate_slopes, envelope_slopes, intercept
from verify.sets import Interval

Range = tuple[Tensor, Tensor, Tensor]
"""Slopes at position 0 and at position 1, and the position of CROWN's line, each (n, *shape)."""


@singledispatch
def slope_ranges(op: Curve, pre: Interval) -> tuple[Range, Range]:
    """The ranges of the lower and of the upper line."""
    found = []
    for lower in (True, False):
        left, middle, right = envelope_slopes(op, pre, lower, (NEAR_END, 0.5, 1 - NEAR_END))
        start = ((middle - left) / (right - left)).nan_to_num(0.0, 0.0, 0.0).clamp(0, 1)
        found.append((left, right, start))
    return found[0], found[1]


@slope_ranges.register
def _(op: SShaped, pre: Interval) -> tuple[Range, Range]:
    lower, upper = candidate_slopes(op, pre)
    start = torch.zeros_like(pre.lower)
    return (*lower, start), (*upper, start)


def start_positions(op: Curve, pre: Interval) -> Tensor:
    """CROWN's positions (2, n, *shape)."""
    lower, upper = slope_ranges(op, pre)
    return torch.stack([lower[2], upper[2]])


def positioned_lines(op: Curve, pre: Interval, positions: Tensor) -> Lines:
    """Lines at `positions` (2, n, *shape) or (2, n, r, *shape), projected; differentiable in them."""
    with torch.no_grad():
        ranges = slope_ranges(op, pre)
    if positions.dim() > pre.lower.dim() + 1:
        pre = Interval(pre.lower.unsqueeze(1), pre.upper.unsqueeze(1))
        ranges = tuple(tuple(side.unsqueeze(1) for side in each) for each in ranges)
    slopes = [first + at * (last - first) for (first, last, _), at in zip(ranges, positions.clamp(0, 1), strict=True)]
    return Lines(slopes[0], intercept(op, pre, slopes[0], True), slopes[1], intercept(op, pre, slopes[1], False))
