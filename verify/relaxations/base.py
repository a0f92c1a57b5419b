"""Linear enclosures of nonlinear primitives.

A relaxation gives two lines per neuron with `lower line <= f(z) <= upper line` for every z in the pre-activation
interval. Lines carry their own rounding: intercepts are moved outward so that the enclosure holds for the slopes and
intercepts exactly as stored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from verify.sets import entries, gamma, underflow


@dataclass(frozen=True)
class Lines:
    """lower_slope z + lower_intercept <= f(z) <= upper_slope z + upper_intercept, each (n, *shape) or (n, r, *shape)
    when rows have lines of their own; the sides may differ in that."""

    lower_slope: Tensor
    lower_intercept: Tensor | None
    upper_slope: Tensor
    upper_intercept: Tensor

    def pull_back(self, coeff: Tensor) -> tuple[Tensor, Tensor]:
        """Rows on f(z), (n, r, *shape), to rows on z that are below them: positive coefficients take the lower line,
        negative ones the upper line. Returns (coefficients, offset (n, r))."""
        negative = coeff.clamp(max=0)
        positive = coeff - negative
        offset = _row_sums(negative, _rows(self.upper_intercept, coeff))
        if self.lower_intercept is not None:
            offset = offset + _row_sums(positive, _rows(self.lower_intercept, coeff))
        # In place where possible: these are the largest tensors of a pass, and memory traffic is what it costs.
        below = (positive * _rows(self.lower_slope, coeff)).addcmul_(negative, _rows(self.upper_slope, coeff))
        return below, offset

    def lost(self, coeff: Tensor, *magnitudes: Tensor) -> Tensor:
        """What the rounding of `pull_back` may have added to a bound, (n, r), for |z| <= `magnitudes` (n, *shape)."""
        lower = 0.0 if self.lower_intercept is None else self.lower_intercept.abs()
        planes = ((self.lower_slope.abs(), self.upper_slope.abs(), magnitudes[0]),)
        return _lost(coeff, planes, lower, self.upper_intercept.abs())


@dataclass(frozen=True)
class Planes:
    """The same for a function of several values: sum_k lower_slopes[k] z_k + lower_intercept <= f(z_1, z_2, ...) <=
    sum_k upper_slopes[k] z_k + upper_intercept."""

    lower_slopes: tuple[Tensor, ...]
    lower_intercept: Tensor
    upper_slopes: tuple[Tensor, ...]
    upper_intercept: Tensor

    def pull_back(self, coeff: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """As `Lines.pull_back`, with one tensor of coefficients for each argument."""
        negative = coeff.clamp(max=0)
        positive = coeff - negative
        offset = (_row_sums(negative, _rows(self.upper_intercept, coeff))
                  + _row_sums(positive, _rows(self.lower_intercept, coeff)))
        below = tuple((positive * _rows(lower, coeff)).addcmul_(negative, _rows(upper, coeff))
                      for lower, upper in zip(self.lower_slopes, self.upper_slopes, strict=True))
        return below, offset

    def lost(self, coeff: Tensor, *magnitudes: Tensor) -> Tensor:
        """As `Lines.lost`, one magnitude for each argument."""
        planes = [(low.abs(), up.abs(), m) for low, up, m in
                  zip(self.lower_slopes, self.upper_slopes, magnitudes, strict=True)]
        return _lost(coeff, planes, self.lower_intercept.abs(), self.upper_intercept.abs())


def _rows(line: Tensor, coeff: Tensor) -> Tensor:
    return line if line.dim() == coeff.dim() else line.unsqueeze(1)


def _lost(coeff: Tensor, planes: Sequence[tuple[Tensor, Tensor, Tensor]], lower: Tensor | float, upper: Tensor
          ) -> Tensor:
    """sum |coeff| (sum_k |slope_k| |z_k| + |intercept|), the products that are rounded, times their sum's error."""
    total = upper if isinstance(lower, float) else torch.maximum(*torch.broadcast_tensors(
        _rows(lower, coeff), _rows(upper, coeff)))
    total = _rows(total, coeff)
    for low, up, magnitude in planes:
        total = total + torch.maximum(*torch.broadcast_tensors(_rows(low, coeff), _rows(up, coeff))) * _rows(
            magnitude, coeff)
    unit = gamma(math.prod(coeff.shape[2:]) + len(planes), coeff.dtype)
    return unit * _row_sums(coeff.abs(), total) + underflow(coeff.dtype) * (1 + entries(total, 2).sum(2))


def _row_sums(coeff: Tensor, line: Tensor) -> Tensor:
    """sum over the neurons of coeff * line, (n, r): a matrix product when all rows share the line."""
    if line.shape[1] > 1:
        return entries(coeff * line, 2).sum(2)
    return (entries(coeff, 2) @ entries(line, 2).transpose(1, 2)).squeeze(2)
