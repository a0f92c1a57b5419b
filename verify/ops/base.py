"""What is true of an operator: how it evaluates, how intervals pass it, and, if linear, its transpose.

A primitive is a frozen dataclass over tensors. `LinearOp` has four rules, everything else derives from them:

- `evaluate(*xs)`: y = W x + b
- `spread(*rs)`: |W| r, for radii and magnitudes r >= 0
- `pull_back(coeff, shapes)`: W^T applied to rows of coefficients
- `offset()`: b, or None

Letters in shapes: n domains, r rows, o / i output / input neurons, c h w channels and pixels.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from verify.sets import Interval, entries, gamma

Shape = tuple[int, ...]


def wide_sum(products: Tensor, wide: bool = True) -> Tensor:
    """Sum over everything but domains and rows, (n, r, ...) -> (n, r), accumulated in float64 when `wide`."""
    return entries(products, 2).sum(2, dtype=torch.float64 if wide else None).to(products.dtype)


def _moved(value: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """`value` elsewhere; numbers that a narrower dtype cannot hold become its smallest one: only 0 becomes 0, which
    says that something does not depend on something (`LinearOp.silent`)."""
    moved = value.to(device, dtype)
    if value.is_floating_point() and torch.finfo(dtype).tiny > torch.finfo(value.dtype).tiny:
        moved = torch.where((moved == 0) & (value.to(device) != 0), torch.finfo(dtype).tiny, moved)
    return moved


def halved(given: Interval, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Lower + upper, upper - lower, weight, of which either the first two or the last one is halved: the smaller, it is
    memory traffic that this costs."""
    total, width = given.lower + given.upper, given.upper - given.lower
    if weight.numel() < 2 * total.numel():
        return total, width, weight * 0.5
    return total * 0.5, width * 0.5, weight


def none_if_empty(mask: Tensor) -> Tensor | None:
    """The mask, or None when nothing is set."""
    return mask if bool(mask.any()) else None


@dataclasses.dataclass(frozen=True, eq=False)
class Op(ABC):
    """Base of all primitives. `linear` is true when the op is an affine function of its inputs."""

    linear: ClassVar[bool] = False

    @abstractmethod
    def output_shape(self, *shapes: Shape) -> Shape:
        """Shape of the output, without the domain axis; raises `ShapeMismatch` when the inputs do not fit."""

    @abstractmethod
    def evaluate(self, *xs: Tensor) -> Tensor:
        """Value at the inputs, each (n, *shape)."""

    @abstractmethod
    def interval(self, *inputs: Interval) -> Interval:
        """Encloses `evaluate` on the product of the input intervals, rounding included."""

    def image(self, *inputs: Interval) -> Interval:
        """`interval` up to rounding, which nobody charges: what training differentiates. Never for a verdict."""
        return self.interval(*inputs)

    def to(self, device: torch.device, dtype: torch.dtype) -> Op:
        """Moves the tensor fields; integer tensors keep their dtype."""
        changes = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                changes[field.name] = _moved(value, device, dtype if value.is_floating_point() else value.dtype)
        return dataclasses.replace(self, **changes) if changes else self


def outward(lower: Tensor, upper: Tensor, below: Tensor, above: Tensor) -> Interval:
    """[lower - below, upper + above], rounded outward; everything where that is no number (after an overflow)."""
    unit = torch.finfo(lower.dtype).eps
    lower = lower - below - unit * (lower.abs() + below)
    upper = upper + above + unit * (upper.abs() + above)
    return Interval(torch.nan_to_num(lower, nan=-torch.inf, posinf=-torch.inf, neginf=-torch.inf),
                    torch.nan_to_num(upper, nan=torch.inf, posinf=torch.inf, neginf=torch.inf))


@dataclasses.dataclass(frozen=True, eq=False)
class LinearOp(Op):
    """An affine primitive y = W x + b."""

    linear: ClassVar[bool] = True
    moves_only: ClassVar[bool] = False
    """True when nothing is rounded in either direction: each output entry is an input entry, read at most once."""

    @abstractmethod
    def spread(self, *radii: Tensor) -> Tensor:
        """|W| r for r >= 0, each (n, *shape)."""

    @abstractmethod
    def pull_back(self, coeff: Tensor, shapes: tuple[Shape, ...]) -> tuple[Tensor, ...]:
        """Coefficients (n, r, *output shape) -> for each input (n, r, *input shape): rows . W."""

    def offset(self) -> Tensor | None:
        """b, broadcastable against (n, *output shape); None when there is none."""
        return None

    def offset_magnitude(self) -> Tensor | None:
        """Bounds |b| and the terms it was computed from (a folded bias may have cancelled); see `simplify`."""
        offset = self.offset()
        return None if offset is None else offset.abs()

    @property
    def silent(self) -> Tensor | None:
        """Output entries that are 0 for every input, all their weights and their offset being 0: a mask that broadcasts
        to (n, *output shape), or None when there are none.

        Nothing is rounded there in either direction, so their interval is exactly [0, 0], and a ReLU that reads it is
        stable (pruned and grafted neurons)."""
        return None

    def pull_back_offset(self, coeff: Tensor, wide: bool = True) -> Tensor | None:
        """rows . b: (n, r), or None. `wide`: summed in float64, which the charges for rounding count on."""
        offset = self.offset()
        return None if offset is None else wide_sum(coeff * offset.unsqueeze(1), wide)

    def terms(self, *shapes: Shape) -> int:
        """How many products one entry sums, of the output going forward or of the input in `pull_back`, at most."""
        return 1

    def forward_terms(self, *shapes: Shape) -> int:
        """How many terms one entry of the output sums, the offset included, at most."""
        return self.terms(*shapes)

    def rounding(self, *magnitudes: Tensor) -> Tensor:
        """Bounds the rounding error of `evaluate` (any order of summation) and of the folded weights themselves,
        in either direction, for inputs of at most these magnitudes: gamma (|W| m + |b|)."""
        shapes = tuple(tuple(m.shape[1:]) for m in magnitudes)
        total = self.spread(*magnitudes)
        terms = self.terms(*shapes)
        relative = gamma(terms, total.dtype)
        # Products that underflow lose up to `tiny` each: in the value, in `spread`, and in the products below.
        total = relative * total + (2 * terms + 4) * torch.finfo(total.dtype).tiny
        offset = self.offset_magnitude()
        if offset is not None:
            # `pull_back_offset` sums over all output entries, in float64 whatever the dtype of the graph.
            whole = gamma(math.prod(self.output_shape(*shapes)), torch.float64)
            total = total + (relative + whole) * offset
        return total if self.silent is None else total.masked_fill(self.silent, 0)

    def image(self, *inputs: Interval) -> Interval:
        if self.moves_only:
            return Interval(self.evaluate(*(i.lower for i in inputs)), self.evaluate(*(i.upper for i in inputs)))
        center = self.evaluate(*((i.lower + i.upper) * 0.5 for i in inputs))
        radius = self.spread(*((i.upper - i.lower) * 0.5 for i in inputs))
        return Interval(center - radius, center + radius)

    def interval(self, *inputs: Interval) -> Interval:
        if self.moves_only:
            return Interval(self.evaluate(*(i.lower for i in inputs)), self.evaluate(*(i.upper for i in inputs)))
        center = self.evaluate(*(i.center for i in inputs))
        radius = self.spread(*(i.upper - i.center for i in inputs)) + self.rounding(*(i.magnitude for i in inputs))
        # Center and radius are themselves rounded: one more charge of a few ulp on each end.
        pad = gamma(4, center.dtype) * (center.abs() + radius)
        # inf - inf after an overflow is no number; the whole line encloses everything.
        lower = torch.nan_to_num(center - radius - pad, nan=-torch.inf, posinf=-torch.inf, neginf=-torch.inf)
        upper = torch.nan_to_num(center + radius + pad, nan=torch.inf, posinf=torch.inf, neginf=torch.inf)
        if self.silent is not None:
            lower, upper = lower.masked_fill(self.silent, 0), upper.masked_fill(self.silent, 0)
        return Interval(lower, upper)
