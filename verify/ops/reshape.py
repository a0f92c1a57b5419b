"""Ops that move entries without computing: reshape, transpose, gather (slice, pad, expand), concatenation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from verify.errors import ShapeMismatch
from verify.ops.base import LinearOp, Shape, wide_sum
from verify.sets import Interval, entries, gamma


@dataclass(frozen=True, eq=False)
class Reshape(LinearOp):
    """Same entries, new `shape` (row-major)."""

    moves_only = True
    shape: Shape

    def output_shape(self, *shapes: Shape) -> Shape:
        if math.prod(shapes[0]) != math.prod(self.shape):
            raise ShapeMismatch(f"cannot reshape {list(shapes[0])} to {list(self.shape)}")
        return self.shape

    def evaluate(self, *xs: Tensor) -> Tensor:
        return xs[0].reshape(xs[0].shape[0], *self.shape)

    def spread(self, *radii: Tensor) -> Tensor:
        return self.evaluate(*radii)

    def pull_back(self, coeff: Tensor, shapes: tuple[Shape, ...]) -> tuple[Tensor, ...]:
        return (coeff.reshape(*coeff.shape[:2], *shapes[0]),)


@dataclass(frozen=True, eq=False)
class Transpose(LinearOp):
    """Axes permuted: output axis k is input axis `perm`[k]."""

    moves_only = True
    perm: tuple[int, ...]

    def output_shape(self, *shapes: Shape) -> Shape:
        if sorted(self.perm) != list(range(len(shapes[0]))):
            raise ShapeMismatch(f"permutation {list(self.perm)} does not fit shape {list(shapes[0])}")
        return tuple(shapes[0][k] for k in self.perm)

    def evaluate(self, *xs: Tensor) -> Tensor:
        return xs[0].permute(0, *(k + 1 for k in self.perm))

    def spread(self, *radii: Tensor) -> Tensor:
        return self.evaluate(*radii)

    def pull_back(self, coeff: Tensor, shapes: tuple[Shape, ...]) -> tuple[Tensor, ...]:
        inverse = [self.perm.index(k) for k in range(len(self.perm))]
        return (coeff.permute(0, 1, *(k + 2 for k in inverse)),)


@dataclass(frozen=True, eq=False)
class Gather(LinearOp):
    """Output entry k is input entry `indices`[k] (flat, row-major), or `fill` where the index is -1.

    `indices` (int64) has the output's shape. Covers Slice, Split, Gather, Pad, Expand and broadcasting; its transpose
    scatters with addition because an entry may be read several times, which rounds: `rounding` charges it.
    """

    indices: Tensor
    fill: float = 0.0

    @property
    def moves_only(self) -> bool:
        """Entries read once and zeros round nowhere, in neither direction."""
        return self.fill == 0 and self._readings() <= 1

    def _readings(self) -> int:
        """How often the most popular entry is read."""
        flat = self.indices.flatten()
        counts = torch.bincount(flat[flat >= 0])
        return int(counts.max()) if counts.numel() else 0

    def output_shape(self, *shapes: Shape) -> Shape:
        if self.indices.numel() and int(self.indices.max()) >= math.prod(shapes[0]):
            raise ShapeMismatch(f"gather reads entry {int(self.indices.max())} of shape {list(shapes[0])}")
        return tuple(self.indices.shape)

    def _read(self, x: Tensor, fill: float) -> Tensor:
        flat = self.indices.flatten()
        y = entries(x, 1)[:, flat.clamp(min=0)]
        if bool((flat < 0).any()):
            y = torch.where(flat < 0, torch.full_like(y, fill), y)
        return y.reshape(x.shape[0], *self.indices.shape)

    def evaluate(self, *xs: Tensor) -> Tensor:
        return self._read(xs[0], self.fill)

    def spread(self, *radii: Tensor) -> Tensor:
        return self._read(radii[0], 0.0)

    def interval(self, *inputs: Interval) -> Interval:
        """Exact, but for a `fill` that the dtype cannot hold."""
        dtype = inputs[0].lower.dtype
        rounded = float(torch.tensor(self.fill, dtype=dtype)) != self.fill
        pad = gamma(1, dtype) * abs(self.fill) if rounded else 0.0
        return Interval(self._read(inputs[0].lower, self.fill - pad), self._read(inputs[0].upper, self.fill + pad))

    def image(self, *inputs: Interval) -> Interval:
        return Interval(self.evaluate(inputs[0].lower), self.evaluate(inputs[0].upper))

    def rounding(self, *magnitudes: Tensor) -> Tensor:
        total = self._read(magnitudes[0], abs(self.fill))
        return gamma(self._readings(), total.dtype) * total

    def offset(self) -> Tensor | None:
        if self.fill == 0:
            return None
        return torch.where(self.indices < 0, self.fill, 0.0).unsqueeze(0)

    def pull_back_offset(self, coeff: Tensor, wide: bool = True) -> Tensor | None:
        if self.fill == 0:
            return None
        return wide_sum(entries(coeff, 2)[..., self.indices.flatten() < 0], wide) * self.fill

    def pull_back(self, coeff: Tensor, shapes: tuple[Shape, ...]) -> tuple[Tensor, ...]:
        flat = self.indices.flatten()
        kept = flat >= 0
        out = coeff.new_zeros(*coeff.shape[:2], math.prod(shapes[0]))
        out = out.index_add(2, flat[kept], entries(coeff, 2)[..., kept])
        return (out.reshape(*coeff.shape[:2], *shapes[0]),)


@dataclass(frozen=True, eq=False)
class Concat(LinearOp):
    """Inputs joined along `axis` (not counting the domain axis, non-negative)."""

    moves_only = True
    axis: int

    def output_shape(self, *shapes: Shape) -> Shape:
        rest = {(len(s), *s[: self.axis], *s[self.axis + 1 :]) for s in shapes}
        if len(rest) != 1 or not 0 <= self.axis < len(shapes[0]):
            raise ShapeMismatch(f"cannot concatenate shapes {[list(s) for s in shapes]} along axis {self.axis}")
        return (*shapes[0][: self.axis], sum(s[self.axis] for s in shapes), *shapes[0][self.axis + 1 :])

    def evaluate(self, *xs: Tensor) -> Tensor:
        n = max(x.shape[0] for x in xs)
        return torch.cat([x.expand(n, *x.shape[1:]) for x in xs], self.axis + 1)

    def spread(self, *radii: Tensor) -> Tensor:
        return self.evaluate(*radii)

    def pull_back(self, coeff: Tensor, shapes: tuple[Shape, ...]) -> tuple[Tensor, ...]:
        return tuple(coeff.split([s[self.axis] for s in shapes], self.axis + 2))
