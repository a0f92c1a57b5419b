"""The primitives that networks are lowered to. Relu and Smooth are nonlinear, all others affine: y = W x + b.

Values have the full ONNX shape; only the rows of `pull` have one more axis in front. Arrays are float64 or, after
`cast`, hold exact numbers as Python objects; there the integer 0 stands for zero, and only + - * @ meet the entries.

    product(xs)         W x, for the list of all inputs
    forward(xs)         W x + b
    spread(radii)       |W| r
    pull(rows, shapes)  rows (r, *output shape) times W: a list of (r, *input shape), one for every input
    offset()            b, broadcastable to the output shape, or None
    uncertainty(xs)     what the constants that float64 cannot hold may be off by, given |x|: float64
    cast(lift)          the same operator with its float64 arrays mapped by `lift`

`terms` is the most products that are summed in one entry, forward or in `pull`, and `sums` forward; an added bias comes
on top.
`roundings` is None where an execution in float32 rounds nothing (moves, and inner parts of a maximum, whose declared
operator is exact); else how many roundings the declared operator makes in an entry beyond its `sums`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

Array = np.ndarray
Shapes = list[tuple[int, ...]]
CHUNK = 2**18
"""Entries of one block of rows in `Conv.pull`: what is added up stays in the cache."""


class Op:
    """What operators have in common: no constants, one term, nothing that rounds in float32."""

    terms = sums = 1
    roundings: int | None = None

    def forward(self, xs: list[Array]) -> Array:
        y, offset = self.product(xs), self.offset()
        return y if offset is None else y + offset

    def spread(self, radii: list[Array]) -> Array:
        return self.cast(np.abs).product(radii)

    def offset(self) -> Array | None:
        return None

    def uncertainty(self, xs: list[Array]) -> Array | float:
        return 0.0

    def cast(self, lift: Callable[[Array], Array]) -> Op:
        lifted = {name: lift(a) for name, a in vars(self).items() if isinstance(a, Array) and a.dtype.kind in "fO"}
        return replace(self, **lifted) if lifted else self


@dataclass(frozen=True, eq=False)
class Input(Op):
    """The network input, step 0."""


@dataclass(frozen=True, eq=False)
class Relu(Op):
    """max(x, 0)"""


@dataclass(frozen=True, eq=False)
class Smooth(Op):
    """`kind` is "sigmoid" or "tanh"."""

    kind: str


@dataclass(frozen=True, eq=False)
class Take(Op):
    """y.flat[k] = (all inputs, flat, one behind the other)[index.flat[k]]: every move of entries. Negative indices read
    constants: `fill` from its end, or 0."""

    index: Array
    fill: Array | None = None

    @cached_property
    def plan(self) -> tuple[Array, Array, Array, int]:
        """Output positions sorted by what they read; the entries read, where their positions start, and most of one."""
        flat = self.index.ravel()
        order = np.argsort(flat, kind="stable")[np.count_nonzero(flat < 0) :]
        read, starts, counts = np.unique(flat[order], return_index=True, return_counts=True)
        return order, read, starts, int(counts.max(initial=1))

    @cached_property
    def reshapes(self) -> bool:
        """True when output entry k is input entry k, for as many as there are."""
        return bool((self.index.ravel() == np.arange(self.index.size)).all())

    @property
    def terms(self) -> int:
        return self.plan[3]

    def product(self, xs: list[Array]) -> Array:
        zero = np.zeros(1, dtype=np.int64)  # of any type of numbers
        return np.concatenate([zero, *(x.reshape(-1) for x in xs)])[np.maximum(self.index, -1) + 1]

    def offset(self) -> Array | None:
        return None if self.fill is None else np.where(self.index < 0, self.fill[np.minimum(self.index, -1)], 0)

    def pull(self, rows: Array, shapes: Shapes) -> list[Array]:
        count, ends = len(rows), np.cumsum([math.prod(shape) for shape in shapes], dtype=np.int64)
        flat, size = rows.reshape(count, -1), sum(map(math.prod, shapes))
        if not (self.reshapes and flat.shape[1] == size):
            order, read, starts, most = self.plan
            moved = flat[:, order]
            flat = np.zeros((count, size), dtype=rows.dtype)
            flat[:, read] = moved if most == 1 else np.add.reduceat(moved, starts, axis=1)
        parts = np.split(flat, ends[:-1], axis=1)
        return [part.reshape(count, *shape) for part, shape in zip(parts, shapes, strict=False)]


@dataclass(frozen=True, eq=False)
class Scale(Op):
    """scale x + shift, both broadcastable to the full shape. The exact scale is within `scale_error` (elementwise)."""

    scale: Array
    shift: Array | None = None
    scale_error: Array | float = 0.0
    roundings: int | None = 1

    def product(self, xs: list[Array]) -> Array:
        return xs[0] * self.scale

    def pull(self, rows: Array, shapes: Shapes) -> list[Array]:
        return [rows * self.scale]

    def offset(self) -> Array | None:
        return self.shift

    def uncertainty(self, xs: list[Array]) -> Array | float:
        return self.scale_error * xs[0] * (1 + 2.0**-50) + 2.0**-1022 * (self.scale_error > 0)


@dataclass(frozen=True, eq=False)
class Sum(Op):
    """The sum of inputs of one shape, with signs 1 and -1."""

    signs: tuple[int, ...]
    roundings: int | None = 1

    @property
    def terms(self) -> int:
        return len(self.signs)

    sums = terms

    def product(self, xs: list[Array]) -> Array:
        return sum(x if sign > 0 else -x for sign, x in zip(self.signs, xs, strict=True))

    def spread(self, radii: list[Array]) -> Array:
        return sum(radii)

    def pull(self, rows: Array, shapes: Shapes) -> list[Array]:
        return [rows if sign > 0 else -rows for sign in self.signs]


@dataclass(frozen=True, eq=False)
class Dense(Op):
    """weight (o, i) on the last axis, plus bias (o,)."""

    weight: Array
    bias: Array | None = None
    roundings: int | None = 1

    @property
    def terms(self) -> int:
        return max(self.weight.shape)

    @property
    def sums(self) -> int:
        return self.weight.shape[1]

    def product(self, xs: list[Array]) -> Array:
        return xs[0] @ self.weight.T

    def pull(self, rows: Array, shapes: Shapes) -> list[Array]:
        return [rows @ self.weight]

    def offset(self) -> Array | None:
        return self.bias


@dataclass(frozen=True, eq=False)
class Conv(Op):
    """Two-dimensional cross-correlation of (b, c, h, w) with weight (o, c / groups, kh, kw), plus bias (o,).

    `pads` is (top, left, bottom, right), with zeros.
    """

    weight: Array
    bias: Array | None
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    dilations: tuple[int, int]
    groups: int
    roundings: int | None = 1

    @property
    def terms(self) -> int:
        out, into, *kernel = self.weight.shape
        return max(into, out // self.groups) * math.prod(kernel)

    @property
    def sums(self) -> int:
        return math.prod(self.weight.shape[1:])

    def offset(self) -> Array | None:
        return None if self.bias is None else self.bias.reshape(-1, 1, 1)

    def _windows(self, size: tuple[int, ...]) -> Iterator[tuple[Array, slice, slice]]:
        """For every kernel position its weights (g, o / g, c / g), and which rows and columns of the padded image the
        windows (h, w) = size read."""
        weight = self.weight.reshape(self.groups, -1, *self.weight.shape[1:])
        for i, j in np.ndindex(*self.weight.shape[2:]):
            starts = (i * self.dilations[0], j * self.dilations[1])
            read = (slice(a, a + (n - 1) * s + 1, s) for a, n, s in zip(starts, size, self.strides, strict=True))
            yield weight[..., i, j], *read

    def product(self, xs: list[Array]) -> Array:
        (b, _, *_), (top, left, bottom, right) = xs[0].shape, self.pads
        padded = np.pad(xs[0], ((0, 0), (0, 0), (top, bottom), (left, right)))
        (out, into, *kernel), room = self.weight.shape, zip(padded.shape[2:], self.dilations, self.strides, strict=True)
        size = tuple((n - (k - 1) * d - 1) // s + 1 for k, (n, d, s) in zip(kernel, room, strict=True))
        return sum(weight @ padded[:, :, down, across].reshape(b, self.groups, into, -1)
                   for weight, down, across in self._windows(size)).reshape(b, out, *size)

    def pull(self, rows: Array, shapes: Shapes) -> list[Array]:
        flat = rows.reshape(-1, *rows.shape[2:])
        block = max(1, CHUNK // math.prod(flat.shape[1:]))
        parts = [self._pull(flat[k : k + block], shapes[0][1:]) for k in range(0, len(flat), block)]
        return [np.concatenate(parts).reshape(len(rows), *shapes[0])]

    def _pull(self, rows: Array, shape: tuple[int, ...]) -> Array:
        """One matrix product for every kernel position, channels last, added to what its windows read."""
        (n, out, *size), g, (_, h, w), (top, left, bottom, right) = rows.shape, self.groups, shape, self.pads
        rows = np.ascontiguousarray(rows.reshape(n, g, out // g, -1).transpose(1, 0, 3, 2)).reshape(g, -1, out // g)
        total = np.zeros((g, n, top + h + bottom, left + w + right, shape[0] // g), dtype=rows.dtype)
        for weight, down, across in self._windows(size):
            total[:, :, down, across] += (rows @ weight).reshape(g, n, *size, -1)
        total = total[:, :, top : top + h, left : left + w]
        return total.transpose(1, 0, 4, 2, 3).reshape(n, *shape)
