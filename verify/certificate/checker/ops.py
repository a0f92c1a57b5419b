"""The primitives that networks are lowered to. Relu and Smooth are nonlinear, all others affine: y = W x + b.

Values have the full ONNX shape; only the rows of `pull` have one more axis in front. Arrays are float64 or, after
`cast`, hold exact numbers as Python objects; there the integer 0 stands for zero, and only + - * @ meet the entries.

    forward(xs)         W x + b, for the list of all inputs
    spread(radii)       |W| r
    pull(rows, shapes)  rows (r, *output shape) times W: a list of (r, *input shape), one for every input
    offset()            b, broadcastable to the output shape, or None
    uncertainty(xs)     what the constants that float64 cannot hold may be off by, given |x|: float64, or None
    cast(lift)          the same operator with its float64 arrays mapped by `lift`

`terms` is the most products that are summed in one entry, forward or in `pull`, and `sums` forward; an added bias comes
on top.
`roundings` is None where an execution in float32 rounds nothing (moves, and inner parts of a maximum, whose declared
operator is exact); else how many roundings the declared operator makes in an entry beyond its `sums`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
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

    def offset(self) -> Array | None:
        return None

    def uncertainty(self, xs: list[Array]) -> Array | None:
        return None

    def cast(self, lift: Callable[[Array], Array]) -> Op:
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        lifted = {name: lift(a) for name, a in arrays.items() if isinstance(a, Array) and a.dtype == np.float64}
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
class Constant(Op):
    """A value without inputs."""

    value: Array

    def forward(self, xs: list[Array]) -> Array:
        return self.value

    def spread(self, radii: list[Array]) -> Array:
        return np.zeros(self.value.shape)

    def pull(self, rows: Array, shapes: Shapes) -> list[Array]:
        return []

    def offset(self) -> Array:
        return self.value


@dataclass(frozen=True, eq=False)
class Take(Op):
    """y.flat[k] = (all inputs, flat, one behind the other)[index.flat[k]], 0 for -1: every move of entries."""

    index: Array

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

    def forward(self, xs: list[Array]) -> Array:
        y = np.concatenate([x.reshape(-1) for x in xs])[self.index]
        y[self.index < 0] = 0
        return y

    spread = forward

    def pull(self, rows: Array, shapes: Shapes) -> list[Array]:
        count, ends = len(rows), np.cumsum([math.prod(shape) for shape in shapes])
        flat = rows.reshape(count, -1)
        if not (self.reshapes and flat.shape[1] == ends[-1]):
            order, read, starts, most = self.plan
            moved = flat[:, order]
            flat = np.zeros((count, ends[-1]), dtype=rows.dtype)
            flat[:, read] = moved if most == 1 else np.add.reduceat(moved, starts, axis=1)
        parts = np.split(flat, ends[:-1], axis=1)
        return [part.reshape(count, *shape) for part, shape in zip(parts, shapes, strict=True)]


@dataclass(frozen=True, eq=False)
class Scale(Op):
    """scale x + shift, both of the full shape (None: 1 and 0). The exact constants are within `scale_error` and
    `shift_error` (float64, elementwise; None: they are `scale` and `shift`)."""

    scale: Array | None
    shift: Array | None = None
    scale_error: Array | None = None
    shift_error: Array | None = None
    roundings: int | None = 1

    def _times(self, x: Array) -> Array:
        return x if self.scale is None else x * self.scale

    def forward(self, xs: list[Array]) -> Array:
        return self._times(xs[0]) if self.shift is None else self._times(xs[0]) + self.shift

    def spread(self, radii: list[Array]) -> Array:
        return radii[0] if self.scale is None else radii[0] * np.abs(self.scale)

    def pull(self, rows: Array, shapes: Shapes) -> list[Array]:
        return [self._times(rows)]

    def offset(self) -> Array | None:
        return self.shift

    def uncertainty(self, xs: list[Array]) -> Array | None:
        if self.scale_error is None and self.shift_error is None:
            return None
        scale, shift = (0.0 if error is None else error for error in (self.scale_error, self.shift_error))
        return (scale * xs[0] + shift) * (1 + 2.0**-50) + 2.0**-1022 * (np.asarray(scale) > 0)


@dataclass(frozen=True, eq=False)
class Sum(Op):
    """The sum of inputs of one shape, with signs 1 and -1."""

    signs: tuple[int, ...]
    roundings: int | None = 1

    @property
    def terms(self) -> int:
        return len(self.signs)

    sums = terms

    def forward(self, xs: list[Array]) -> Array:
        total = xs[0] if self.signs[0] > 0 else -xs[0]
        for sign, x in zip(self.signs[1:], xs[1:], strict=True):
            total = total + x if sign > 0 else total - x
        return total

    def spread(self, radii: list[Array]) -> Array:
        return sum(radii[1:], start=radii[0])

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

    def forward(self, xs: list[Array]) -> Array:
        y = xs[0] @ self.weight.T
        return y if self.bias is None else y + self.bias

    def spread(self, radii: list[Array]) -> Array:
        return radii[0] @ np.abs(self.weight).T

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

    def _views(self, size: tuple[int, ...]) -> Iterator[tuple[int, int, slice, slice]]:
        """For every kernel position which rows and columns of the padded image the windows (h, w) = size read."""
        for i, j in np.ndindex(*self.weight.shape[2:]):
            starts = (i * self.dilations[0], j * self.dilations[1])
            yield i, j, *(slice(a, a + (n - 1) * s + 1, s) for a, n, s in zip(starts, size, self.strides, strict=True))

    def _padded(self, shape: tuple[int, ...]) -> tuple[int, int]:
        top, left, bottom, right = self.pads
        return shape[-2] + top + bottom, shape[-1] + left + right

    def _apply(self, weight: Array, x: Array) -> Array:
        (out, into, *kernel), g, (b, c, h, w) = weight.shape, self.groups, x.shape
        padded = np.zeros((b, c, *self._padded(x.shape)), dtype=x.dtype)
        padded[:, :, self.pads[0] : self.pads[0] + h, self.pads[1] : self.pads[1] + w] = x
        room = zip(padded.shape[2:], kernel, self.dilations, self.strides, strict=True)
        size = tuple((n - (k - 1) * d - 1) // s + 1 for n, k, d, s in room)
        weight, y = weight.reshape(g, out // g, into, *kernel), 0
        for i, j, rows, columns in self._views(size):
            y = y + weight[..., i, j] @ padded[:, :, rows, columns].reshape(b, g, into, -1)
        return y.reshape(b, out, *size)

    def forward(self, xs: list[Array]) -> Array:
        y = self._apply(self.weight, xs[0])
        return y if self.bias is None else y + self.offset()

    def spread(self, radii: list[Array]) -> Array:
        return self._apply(np.abs(self.weight), radii[0])

    def offset(self) -> Array | None:
        return None if self.bias is None else self.bias.reshape(-1, 1, 1)

    def pull(self, rows: Array, shapes: Shapes) -> list[Array]:
        flat = rows.reshape(-1, *rows.shape[2:])
        block = max(1, CHUNK // math.prod(flat.shape[1:]))
        parts = [self._pull(flat[k : k + block], shapes[0][1:]) for k in range(0, len(flat), block)]
        return [np.concatenate(parts).reshape(len(rows), *shapes[0])]

    def _pull(self, rows: Array, shape: tuple[int, ...]) -> Array:
        """One matrix product for every kernel position, channels last, added to what its windows read."""
        (out, into, *kernel), (n, _, *size), g = self.weight.shape, rows.shape, self.groups
        weight = self.weight.reshape(g, out // g, into, *kernel)
        rows = np.ascontiguousarray(rows.reshape(n, g, out // g, -1).transpose(1, 0, 3, 2)).reshape(g, -1, out // g)
        total = np.zeros((g, n, *self._padded(shape), into), dtype=rows.dtype)
        for i, j, down, across in self._views(size):
            total[:, :, down, across] += (rows @ weight[..., i, j]).reshape(g, n, *size, into)
        top, left = self.pads[:2]
        total = total[:, :, top : top + shape[1], left : left + shape[2]]
        return total.transpose(1, 0, 4, 2, 3).reshape(n, *shape)
