"""The lines of all unstable neurons of a collapsed network, two for each side, and cuts of what they read.

An optimiser moves between the two lines of a side: of a ReLU the lower slope, of a curve the tangent, of a product the
plane. How the bound uses them is the matter of `verify.bounds.dual`, whose letters are used here.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property, singledispatch

import torch
from torch import Tensor

from verify.bounds.compact import CompactNetwork
from verify.errors import BrokenInvariant
from verify.ops import Curve, Op, Product, Relu
from verify.ops.difference import Difference
from verify.relaxations.difference import candidate_planes
from verify.relaxations.mccormick import balanced, corner_intercept, plane_slopes
from verify.relaxations.positions import slope_ranges
from verify.relaxations.relu import LOWER_SLOPES, chord
from verify.sets import Interval


@dataclass(frozen=True, eq=False)
class DualLines:
    """Two lower and two upper lines per unstable neuron; `*_step` leads from the first to the second. Slopes (s,) or
    (n, s); `pre_*`, the intervals that the lines hold on, (z,) or (n, z); intercepts and `start*`, CROWN's positions,
    (u,) or (n, u). The intercept fields of ReLU's lower lines are zero, those of curves are not used."""

    lower_slope: Tensor
    lower_slope_step: Tensor
    lower_intercept: Tensor
    lower_intercept_step: Tensor
    upper_slope: Tensor
    upper_slope_step: Tensor
    upper_intercept: Tensor
    upper_intercept_step: Tensor
    start: Tensor
    start_upper: Tensor
    pre_lower: Tensor
    pre_upper: Tensor

    @classmethod
    def of(cls, network: CompactNetwork, lower: Tensor | None = None, upper: Tensor | None = None) -> DualLines:
        """The lines on the network's own intervals, or on tighter ones (n, z) of n domains."""
        lower = network.lower if lower is None else lower
        upper = network.upper if upper is None else upper
        columns = []
        for layer, _, _, z in network.spans:
            columns.append(_layer_lines(layer.op, layer.pres(lower[..., z], upper[..., z])))
        if not columns:
            return cls(*(lower for _ in range(12)))
        return cls(*(torch.cat(parts, -1) for parts in zip(*columns, strict=True)), lower, upper)

    @cached_property
    def steepness(self) -> Tensor:
        """The largest slope of the lines of every reading."""
        ends = (self.lower_slope, self.lower_slope + self.lower_slope_step, self.upper_slope,
                self.upper_slope + self.upper_slope_step)
        return torch.stack([end.abs() for end in ends]).amax(0)

    def __getitem__(self, domains: Tensor) -> DualLines:
        """The lines of the listed domains, for lines (n, u)."""
        return DualLines(*(getattr(self, entry.name)[domains] for entry in fields(self)))


@singledispatch
def _layer_lines(op: Op, pres: list[Interval]) -> tuple[Tensor, ...]:
    raise BrokenInvariant(f"no lines are registered for {type(op).__name__}")


@_layer_lines.register
def _(op: Relu, pres: list[Interval]) -> tuple[Tensor, ...]:
    (pre,) = pres
    zero, (slope, intercept) = torch.zeros_like(pre.lower), chord(pre)
    return zero, zero + 1, zero, zero, slope, zero, intercept, zero, LOWER_SLOPES["adaptive"](pre), zero


@_layer_lines.register
def _(op: Curve, pres: list[Interval]) -> tuple[Tensor, ...]:
    zero, (lower, upper) = torch.zeros_like(pres[0].lower), slope_ranges(op, pres[0])
    columns = [part for first, last, _ in (lower, upper) for part in (first, last - first, zero, zero)]
    return *columns, lower[2], upper[2]


@_layer_lines.register
def _(op: Product, pres: list[Interval]) -> tuple[Tensor, ...]:
    columns = []
    for side, pair in zip((True, False), plane_slopes(*pres), strict=True):
        first, second = (torch.cat(slopes, -1) for slopes in pair)
        at = [corner_intercept(*pres, slopes, side) for slopes in pair]
        columns += [first, second - first, at[0], at[1] - at[0]]
    return *columns, *balanced(*pres)


@_layer_lines.register
def _(op: Difference, pres: list[Interval]) -> tuple[Tensor, ...]:
    columns, zero = [], torch.zeros_like(pres[0].lower)
    for side in candidate_planes(op, *pres):
        first, second = (torch.cat(plane.slopes, -1) for plane in side)
        columns += [first, second - first, side[0].intercept, side[1].intercept - side[0].intercept]
    return *columns, zero, zero


@dataclass(frozen=True, eq=False)
class UsedLines:
    """The lines at given parameters: slopes (n, s), intercepts (n, u), `below` None where all are 0; `*_gain` (n, u)
    the derivatives of the intercepts by the positions, None without curves and products."""

    lower: Tensor
    below: Tensor | None
    upper: Tensor
    above: Tensor
    lower_gain: Tensor | None = None
    upper_gain: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Cuts:
    """Where domains have cut the ranges of arguments: low <= z <= high, each (n, z), infinite where not cut."""

    low: Tensor
    high: Tensor

    def legal(self, beta: Tensor) -> Tensor:
        """Multipliers of either sign, 0 where the side has no cut."""
        beta = torch.where(torch.isfinite(self.low), beta, beta.clamp(max=0))
        return torch.where(torch.isfinite(self.high), beta, beta.clamp(min=0))

    def offset(self, beta: Tensor) -> Tensor:
        """beta+ low + beta- high, (n, z)."""
        return torch.where(beta > 0, beta * self.low, torch.where(beta < 0, beta * self.high, torch.zeros_like(beta)))

    def gradient(self, beta: Tensor, z: Tensor) -> Tensor:
        """d bound / d beta at the relaxed arguments z."""
        rising = (beta > 0) | ((beta == 0) & (z < self.low))
        falling = (beta < 0) | ((beta == 0) & (z > self.high))
        return torch.where(rising, self.low - z, torch.where(falling, self.high - z, torch.zeros_like(z)))

    def __getitem__(self, key) -> Cuts:
        return Cuts(self.low[key], self.high[key])

    def to(self, dtype: torch.dtype) -> Cuts:
        """In another dtype, never tighter."""
        moved = Interval(self.low, self.high).to(dtype=dtype)
        return Cuts(moved.lower, moved.upper)
