"""The network collapsed, over one box, to its unstable neurons.

With bounds l <= z <= u for every pre-activation, a neuron with l >= 0 or u <= 0 is linear, and the network becomes

    z_k = W_k v + b_k (v = the inputs and the outputs y = f(z) of unstable neurons of earlier layers),   h = W_h v + b_h

with h the rows of the property. `collapse` walks the network forward once: intervals through linear steps; in front of
every nonlinear step the rows of the neurons that intervals leave unstable are walked back to v, bounded by
`bounds.minimum` with default lines, and those still unstable become a layer.

Errors: a step y = W x + b contributes c = gamma (|W| m + |b|), m the magnitudes of its inputs, to every interval, and
|A| c to every row that passes it backwards with coefficients A. For float32 semantics c also holds the rounding
of the network's own execution: gamma32 (|W| m + |b|) + underflow. `error` of a row is the sum of these on its way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from verify.certificate.checker.arithmetic import LARGEST, UNIT, Exact, Float64, each, enlarged
from verify.certificate.checker.errors import Rejected
from verify.certificate.checker.network import Network
from verify.certificate.checker.ops import Conv, Dense, Input, Op, Relu, Scale, Smooth, Sum, Take

CHUNK_ENTRIES = 2**19
"""Rows are walked back in chunks of at most this many coefficients per step."""

NEAR_ZERO = 2.0**-40
FLOAT32_UNIT, FLOAT32_TINY, FLOAT32_LIMIT = 2.0**-24, 2.0**-126, 2.0**126
SMOOTH_ERROR = 2.0**-20
"""What float32 semantics allow sigmoid and tanh to be off by."""


@dataclass(frozen=True, eq=False)
class Layer:
    """Unstable neurons of nonlinear step `order` (counted among nonlinear steps), flat indices `neurons` (U,), as the
    columns start .. start + U of v: z = weight v[:start] + bias within +-error, lower <= z <= upper (float64)."""

    order: int
    kind: str
    neurons: np.ndarray
    start: int
    weight: np.ndarray
    bias: np.ndarray
    error: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    @property
    def size(self) -> int:
        return len(self.neurons)

    @cached_property
    def floats(self) -> tuple[np.ndarray, np.ndarray]:
        """Weight and bias as float64 numbers, each within one unit of rounding."""
        weight, bias = self.weight, self.bias
        return (weight, bias) if weight.dtype == np.float64 else (Exact.above(weight), Exact.above(bias))


@dataclass(frozen=True, eq=False)
class Collapsed:
    """x_lower <= x <= x_upper (I,) float64; `layers`; rows h = weight v + bias within +-error. `slack` is what smooth
    functions may be off by. `signs` (U,) int8: neurons of all layers that a split above fixed to one side. `floor`:
    what intervals alone say about the rows of a property, h >= floor."""

    arithmetic: type
    x_lower: np.ndarray
    x_upper: np.ndarray
    layers: tuple[Layer, ...]
    weight: np.ndarray
    bias: np.ndarray
    error: np.ndarray
    slack: float
    signs: np.ndarray
    floor: np.ndarray | None = None

    @property
    def inputs(self) -> int:
        return len(self.x_lower)

    @property
    def unstable(self) -> int:
        return sum(layer.size for layer in self.layers)

    @property
    def width(self) -> int:
        return self.inputs + self.unstable

    @property
    def spans(self) -> list[tuple[Layer, slice, slice]]:
        """Every layer with its columns, counted in v and among the unstable neurons."""
        return [(layer, slice(layer.start, layer.start + layer.size),
                 slice(layer.start - self.inputs, layer.start - self.inputs + layer.size)) for layer in self.layers]

    def joined(self, name: str) -> np.ndarray:
        """One array of all layers: (U,)."""
        return np.concatenate([np.zeros(0), *(getattr(layer, name) for layer in self.layers)])

    def rows(self, weight: np.ndarray, bias: np.ndarray, error: np.ndarray) -> Collapsed:
        return replace(self, weight=weight, bias=bias, error=error, floor=None)

    @cached_property
    def prefixes(self) -> list[Collapsed]:
        """What comes before each layer, with that layer's neurons as rows."""
        return [replace(self.rows(layer.weight, layer.bias, layer.error), layers=self.layers[:position],
                        signs=self.signs[: layer.start - self.inputs]) for position, layer in enumerate(self.layers)]

    @cached_property
    def charges(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Per layer what a pass loses per unit of the coefficients on z and on y, (U,) float64 each: the errors of the
        rows and, where arithmetic rounds, gamma times all that these coefficients meet (see `bounds`)."""
        a, found = self.arithmetic, []
        gamma = a.gamma(self.width + 4 * len(self.layers) + 16)
        for layer in self.layers:
            if a.exact:
                found.append((layer.error, np.zeros(layer.size)))
                continue
            pre = np.maximum(np.abs(layer.lower), np.abs(layer.upper))
            own = np.abs(layer.weight) @ self.reach[: layer.start] + np.abs(layer.bias)
            # Slopes meet |z|; intercepts are at most |z| + 1 in size; beta <= |s| + |coefficient|.
            found.append((layer.error + gamma * (own + pre), gamma * (3 * pre + 2)))
        return found

    @cached_property
    def reach(self) -> np.ndarray:
        """Largest |v|, (width,) float64."""
        parts = [np.maximum(np.abs(self.x_lower), np.abs(self.x_upper))]
        for layer in self.layers:
            magnitude = np.maximum(np.abs(layer.lower), np.abs(layer.upper))
            # Sigmoid and tanh stay within 1 (and their allowed error); relu(z) within |z|.
            parts.append(magnitude if layer.kind == "relu" else np.ones_like(magnitude) * (1 + self.slack))
        return np.concatenate(parts)


def depends(op: Op, inputs: list[np.ndarray]) -> np.ndarray:
    """Which entries of an affine operator's value can be anything but 0, by the zeros among its constants alone:
    `inputs` say so of the values that it reads. No rounding can decide this."""
    pattern = op.cast(lambda constant: (constant != 0) * 1.0)
    return (weighed(pattern, [live * 1.0 for live in inputs]) != 0) | (pattern.uncertainty(inputs) != 0)


def unstable(lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Which ReLUs stay in a collapsed network. Not simply l < 0 < u: rounding must not decide where both are 0. Bounds
    that are NaN make no neuron stable."""
    return ~((lower >= NEAR_ZERO) | (upper <= -NEAR_ZERO))


def weighed(op: Op, magnitudes: list[np.ndarray]) -> np.ndarray:
    """|W| m + |b|."""
    total, offset = op.spread(magnitudes), op.offset()
    return total if offset is None else total + np.abs(offset)


def float32_noise(op: Op, magnitudes: list[np.ndarray], name: str, before: int = 0) -> np.ndarray | float:
    """Rounding of one affine operator executed in float32 on values of at most `magnitudes`. `before`: how many
    products the layers below sum, whose sums a runtime may start with what this operator adds (a bias, a residual)."""
    if op.roundings is None:
        return 0.0
    # An input below 2^-126 may be read as 0: that is a relative error of one unit for inputs of at least 2^-102.
    total = weighed(op, [np.maximum(m, FLOAT32_TINY / FLOAT32_UNIT) for m in magnitudes])
    n = (op.sums + op.roundings + 8 + before) * FLOAT32_UNIT
    if not ((total < FLOAT32_LIMIT).all() and n < 0.125):
        raise Rejected(f"{name} may overflow in float32, or sums too many terms for rigorous bounds")
    # Results and weights below 2^-126 may become 0, too.
    flushed = 2 * (op.sums + 8) * FLOAT32_TINY * (1 + max(m.max() for m in magnitudes))
    return n / (1 - n) * (1 + 4 * n) * total + flushed


@dataclass(frozen=True, eq=False)
class FloatRows:
    """Rows h = y Y + x X + constant in float64, each number within its `_error` of the exact one: (R, outputs),
    (R, inputs), (R,)."""

    y: np.ndarray
    x: np.ndarray
    constant: np.ndarray
    y_error: np.ndarray
    x_error: np.ndarray
    constant_error: np.ndarray


class Collapser:
    """State of one walk: per step its interval and charge, per nonlinear step where backward walks stop."""

    def __init__(self, network: Network, lower: np.ndarray, upper: np.ndarray, arithmetic: type, float32: bool):
        self.arithmetic, self.float32 = arithmetic, float32
        self.steps = [replace(s, op=s.op.cast(arithmetic.lift)) for s in network.steps]
        self.plain = network.steps
        self.box = lower, upper
        self.lower: list[np.ndarray] = []
        self.upper: list[np.ndarray] = []
        self.charge: list[np.ndarray | None] = []
        self.cuts: dict[int, tuple[Layer | None, np.ndarray]] = {}
        self.layers: list[Layer] = []
        # Interval arithmetic is exact up to the first mixing layer: rows would find nothing.
        self.mixing: list[float] = []
        self.summed: list[int] = []
        self.live: list[np.ndarray] = []  # `depends` of every step

    @property
    def width(self) -> int:
        return len(self.box[0]) + sum(layer.size for layer in self.layers)

    def forward(self) -> None:
        order = 0
        for index, step in enumerate(self.steps):
            self.live.append(self._live(index))
            if isinstance(step.op, Input):
                low, high = (side.reshape(step.shape) for side in self.box)
                charge, mixing = None, 0.0
            elif isinstance(step.op, (Relu, Smooth)):
                low, high = self._nonlinear(index, order)
                charge, mixing, order = None, math.inf, order + 1
            else:
                low, high, charge = self._linear(index)
                several = step.op.terms > 1 or len(step.inputs) > 1
                mixing = sum(self.mixing[i] for i in step.inputs) + (several and not isinstance(step.op, Take))
            if not ((low >= -LARGEST).all() and (high <= LARGEST).all() and (low <= high).all()):
                raise Rejected(f"the values of {step.name!r} are not bounded by 2^150")
            self.lower.append(low)
            self.upper.append(high)
            self.charge.append(charge)
            self.mixing.append(mixing)
            own = self.plain[index].op
            adds = own.sums if isinstance(own, (Dense, Conv, Sum, Scale)) else 0
            self.summed.append(adds + self._summed_below(index))

    def _live(self, index: int) -> np.ndarray:
        """Which entries of a step can be anything but 0."""
        step, plain = self.steps[index], self.plain[index].op
        if isinstance(plain, (Input, Smooth)):
            return np.ones(step.shape, dtype=bool)
        inputs = [self.live[i] for i in step.inputs]
        return inputs[0] if isinstance(plain, Relu) else depends(plain, inputs)

    def _linear(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        step, plain = self.steps[index], self.plain[index].op
        low, high = [self.lower[i] for i in step.inputs], [self.upper[i] for i in step.inputs]
        a = self.arithmetic
        if isinstance(step.op, Take):
            low, high = plain.forward(low), plain.forward(high)
            # Nothing rounds forward; backward the rows of entries that are read several times are added up.
            several = plain.terms > 1 and not a.exact
            return low, high, a.gamma(plain.terms) * np.maximum(np.abs(low), np.abs(high)) if several else None
        center = [x + (y - x) / 2 for x, y in zip(low, high, strict=True)]
        radius = [np.maximum(y - c, c - x) * (1 + 2.0**-51) for x, y, c in zip(low, high, center, strict=True)]
        charge = self._charge(index, [np.maximum(np.abs(x), np.abs(y)) for x, y in zip(low, high, strict=True)])
        value = step.op.forward([a.lift(c) for c in center])
        spread = a.above(step.op.spread([a.lift(r) for r in radius])) + (0.0 if charge is None else charge)
        pad = enlarged(2.0**-50 * (np.abs(a.above(value)) + np.abs(a.below(value)) + spread))
        return a.below(value) - spread - pad, a.above(value) + spread + pad, charge

    def _charge(self, index: int, magnitudes: list[np.ndarray]) -> np.ndarray | None:
        step, op = self.plain[index], self.plain[index].op
        charge = self.arithmetic.gamma(op.terms) * weighed(op, magnitudes)
        uncertain = op.uncertainty(magnitudes)
        if uncertain is not None:
            charge = charge + uncertain
        if self.float32:
            charge = charge + float32_noise(op, magnitudes, repr(step.name), self._summed_below(index))
        return np.broadcast_to(enlarged(charge), step.shape) if charge.any() else None

    def _summed_below(self, index: int) -> int:
        """Products in the sums that the additions of step `index` may be part of in an execution, 0 for a layer."""
        step = self.plain[index]
        return max(self.summed[i] for i in step.inputs) if isinstance(step.op, (Sum, Scale, Take)) else 0

    def _nonlinear(self, index: int, order: int) -> tuple[np.ndarray, np.ndarray]:
        from verify.certificate.checker.bounds import both_sides, image

        step = self.steps[index]
        source, relu = step.inputs[0], isinstance(step.op, Relu)
        low, high = self.lower[source].ravel().copy(), self.upper[source].ravel().copy()
        live = self.live[source].ravel()
        candidates = np.flatnonzero(unstable(low, high) & live) if relu else np.arange(low.size)
        if candidates.size:
            parts = self.rows_of(source, candidates)
            if self.mixing[source] > 1:
                found = both_sides(self.network(*parts))
                low[candidates] = np.maximum(low[candidates], found[0])
                high[candidates] = np.minimum(high[candidates], found[1])
                if (low > high).any():
                    raise Rejected(f"contradicting bounds in front of {step.name!r}")
                self.lower[source], self.upper[source] = (s.reshape(step.shape) for s in (low, high))
        self._cut(index, order, candidates, parts if candidates.size else None, low, high)
        kind = "relu" if relu else step.op.kind
        return tuple(side.reshape(step.shape) for side in image(kind, low, high, SMOOTH_ERROR * self.float32))

    def _cut(self, index: int, order: int, candidates: np.ndarray, parts, low: np.ndarray, high: np.ndarray) -> None:
        op = self.steps[index].op
        relu = isinstance(op, Relu)
        live = self.live[self.steps[index].inputs[0]].ravel()  # pruned and grafted neurons have 0 in front of them
        open_ = unstable(low, high) & live if relu else np.ones(low.size, dtype=bool)
        layer = None
        if open_.any():
            keep, neurons = open_[candidates], np.flatnonzero(open_)
            layer = Layer(order, "relu" if relu else op.kind, neurons, self.width, *(p[keep] for p in parts),
                          low[neurons], high[neurons])
            self.layers.append(layer)
        active = ~open_ & (low >= 0)
        self.cuts[index] = layer, active.reshape(self.steps[index].shape)

    def rows_of(self, source: int, neurons: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The single neurons of step `source` as rows over v: (weight, bias, error)."""
        shape = self.steps[source].shape
        widest = max(math.prod(s.shape) for s in self.steps[: source + 1])
        chunk = max(1, CHUNK_ENTRIES // widest)

        def walked(start: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            chosen = neurons[start : start + chunk]
            unit = np.zeros((chosen.size, math.prod(shape)))
            unit[np.arange(chosen.size), chosen] = 1.0
            return self.backward(source, self.arithmetic.lift(unit.reshape(-1, *shape)))

        parts = each(walked, range(0, neurons.size, chunk))
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))

    def backward(self, start: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows (r, *shape) on step `start` walked back to v: weight (r, width), bias (r,), error (r,) float64."""
        a, count = self.arithmetic, len(rows)
        weight, bias = a.lift(np.zeros((count, self.width))), a.lift(np.zeros(count))
        error, pending = np.zeros(count), {start: rows}
        for index in range(start, -1, -1):
            rows = pending.pop(index, None)
            if rows is None:
                continue
            step, flat = self.steps[index], rows.reshape(count, -1)
            if isinstance(step.op, Input):
                weight[:, : flat.shape[1]] = weight[:, : flat.shape[1]] + flat
                continue
            if index in self.cuts:
                layer, active = self.cuts[index]
                if layer is not None:
                    weight[:, layer.start : layer.start + layer.size] = flat[:, layer.neurons]
                parts = [rows * active]
            else:
                if self.charge[index] is not None:
                    error = error + a.above(np.abs(flat)) @ self.charge[index].ravel()
                offset = step.op.offset()
                if offset is not None:
                    offset = np.broadcast_to(offset, step.shape).ravel()
                    bias = bias + flat @ offset
                    if not a.exact:
                        # Its products are summed here, and then with those of at most `start` other steps.
                        error = error + a.gamma(flat.shape[1] + start) * (np.abs(flat) @ np.abs(offset))
                parts = step.op.pull(rows, [self.steps[i].shape for i in step.inputs])
            for source, part in zip(step.inputs, parts, strict=True):
                if source in pending:
                    part = pending[source] + part
                    if not a.exact:
                        error = error + UNIT * (np.abs(part).reshape(count, -1) @ self._magnitude(source))
                pending[source] = part
        return weight, bias, enlarged(error)

    def _magnitude(self, index: int) -> np.ndarray:
        """Largest |value| of every entry of a step: (entries,)."""
        return np.maximum(np.abs(self.lower[index]), np.abs(self.upper[index])).ravel()

    def network(self, weight: np.ndarray, bias: np.ndarray, error: np.ndarray) -> Collapsed:
        signs = np.zeros(sum(layer.size for layer in self.layers), dtype=np.int8)
        return Collapsed(self.arithmetic, *self.box, tuple(self.layers), weight, bias, error,
                         SMOOTH_ERROR * self.float32, signs)

    def finish(self, rows: FloatRows) -> Collapsed:
        """The collapsed network with the rows of a property."""
        self.forward()
        a, last = self.arithmetic, len(self.steps) - 1
        weight, bias, error = self.backward(last, a.lift(rows.y.reshape(-1, *self.steps[last].shape)))
        inputs = len(self.box[0])
        weight[:, :inputs] = weight[:, :inputs] + a.lift(rows.x)
        bias = bias + a.lift(rows.constant)
        x, y = self._magnitude(0), self._magnitude(last)
        inexact = rows.x_error @ x + rows.y_error @ y + rows.constant_error
        error = error + inexact
        if not a.exact:
            error = error + a.gamma(2) * (np.abs(weight[:, :inputs]) @ x + np.abs(bias))
        least = rows.constant + sum(np.maximum(w, 0) @ low + np.minimum(w, 0) @ high for w, low, high in (
            (rows.x, *self.box), (rows.y, self.lower[last].ravel(), self.upper[last].ravel())))
        met = np.abs(rows.x) @ x + np.abs(rows.y) @ y + np.abs(rows.constant)
        floor = least - enlarged(inexact + Float64.gamma(len(x) + len(y) + 8) * met) - Float64.gamma(0) * np.abs(least)
        return replace(self.network(weight, bias, enlarged(error)), floor=floor)
