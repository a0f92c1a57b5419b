"""The bound of a collapsed network on a domain: any multipliers give one, so the prover need not be believed.

A domain is a box inside the collapsed network's and a side z >= 0 or z <= 0 for some of its neurons. A row a v + b is
pushed down layer by layer; with a the coefficient of y = f(z) and any alpha in [0, 1], beta >= 0,

    unsplit    a y >= s z + t,  s = a+ lower_slope + a- upper_slope,  t = a+ lower_intercept + a- upper_intercept
    z >= 0     a y = a z >= (a - beta) z
    z <= 0     a y = 0   >= beta z

(a+ = max(a, 0), a- = min(a, 0)), and the minimum over the box of what is left at the bottom is the bound. For a ReLU
with l < 0 < u the lower line is alpha z, the upper one any slope s in [0, 1] with intercept max(-s l, (1 - s) u).
Sources: CROWN (Zhang et al. 2018), alpha-CROWN (Xu et al. 2021), beta-CROWN (Wang et al. 2021).

In float64 everything that rounding can have added is subtracted. Each operation of a pass has relative error 2^-53, no
number takes part in more than width + 4 layers + 16 of them, and `Collapsed.charges` bound all products that enter.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from verify.certificate.checker import smooth
from verify.certificate.checker.arithmetic import TINY, Float64, each, enlarged
from verify.certificate.checker.collapse import Collapsed, Layer, unstable

CHUNK_ENTRIES = 2**16
"""Entries of the coefficients that one pass works on: they stay in the processor's cache."""
WIDE = 2048


@dataclass(frozen=True, eq=False)
class Lines:
    """Slopes and intercepts of the lines below and above every neuron, (n or 1, U) float64, sound as they are."""

    lower_slope: np.ndarray
    lower_intercept: np.ndarray
    upper_slope: np.ndarray
    upper_intercept: np.ndarray

    def __len__(self) -> int:
        return len(self.lower_slope)

    def __getitem__(self, key) -> Lines:
        return Lines(self.lower_slope[key], self.lower_intercept[key], self.upper_slope[key], self.upper_intercept[key])


@dataclass(frozen=True, eq=False)
class Domains:
    """n domains: boxes (n, I), pre-activation bounds (n, U), sides (n, U) int8 (1: z >= 0, -1: z <= 0, 0: unsplit)."""

    x_lower: np.ndarray
    x_upper: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    signs: np.ndarray

    def __len__(self) -> int:
        return len(self.x_lower)

    def __getitem__(self, key) -> Domains:
        return Domains(self.x_lower[key], self.x_upper[key], self.lower[key], self.upper[key], self.signs[key])


def whole(net: Collapsed) -> Domains:
    """The collapsed network's own domain, as a batch of one."""
    return Domains(net.x_lower[None], net.x_upper[None], net.joined("lower")[None], net.joined("upper")[None],
                   net.signs[None])


def smooth_columns(net: Collapsed) -> np.ndarray:
    """Mask (U,) of the columns of smooth neurons."""
    return np.concatenate([np.zeros(0, dtype=bool), *(np.full(layer.size, layer.kind != "relu")
                                                      for layer in net.layers)])


def default_alpha(net: Collapsed, domains: Domains) -> np.ndarray:
    """CROWN's choice for ReLU, the line that leaves the smaller area: 1 where u > -l, otherwise 0 (rounding must not
    decide where both are equal); 0, the first candidate, for smooth neurons. (n, U)"""
    return ((domains.upper * (1 - 2.0**-30) > -domains.lower) & ~smooth_columns(net)).astype(np.float64)


def lines(net: Collapsed, domains: Domains, alpha: np.ndarray, position: np.ndarray | None = None) -> Lines:
    """The lines of every domain. `alpha` (n, U) in [0, 1]: the lower slope of a ReLU, or where the lower line of a
    smooth neuron lies between its two candidate slopes; `position` (n, U) the same for its upper line."""
    n, u = np.broadcast_shapes(domains.lower.shape, alpha.shape)
    result = Lines(*(np.zeros((n, u)) for _ in range(4)))
    for layer, _, c in net.spans:
        low, high, signs = domains.lower[:, c], domains.upper[:, c], domains.signs[:, c]
        make = relu_lines if layer.kind == "relu" else smooth_lines(layer.kind, net.slack)
        upper = alpha[:, c] * 0 if position is None else position[:, c]
        found = make(low, high, signs, alpha[:, c], upper)
        for side, values in zip(("lower_slope", "lower_intercept", "upper_slope", "upper_intercept"), found,
                                strict=True):
            getattr(result, side)[:, c] = values
    return result


def relu_lines(lower: np.ndarray, upper: np.ndarray, signs: np.ndarray, alpha: np.ndarray, _: np.ndarray):
    """Exact on neurons that are split or stable, otherwise alpha z below and the chord above."""
    l, u = np.minimum(lower, 0), np.maximum(upper, 0)
    slope = np.clip(u / np.maximum(u - l, 2.0**-1022), 0, 1)
    # Any slope in [0, 1] is sound with this intercept; three roundings are covered by four units and underflow.
    intercept = np.maximum(-slope * l, (u - slope * u) + 2.0**-52 * u) * (1 + 2.0**-50) + 2.0**-1022
    on = (signs > 0) | ((signs == 0) & (lower >= 0))
    linear = on | (signs < 0) | (upper <= 0)
    exact = on.astype(np.float64)
    return np.where(linear, exact, alpha), np.zeros_like(slope), np.where(linear, exact, slope), \
        np.where(linear, 0.0, intercept)


def smooth_lines(kind: str, slack: float):
    """Lines of a sigmoid or tanh: slopes between two candidates, intercepts computed for the slope that came out."""

    def make(lower: np.ndarray, upper: np.ndarray, signs: np.ndarray, alpha: np.ndarray, position: np.ndarray):
        (low0, low1), (up0, up1) = smooth.slopes(kind, lower, upper)
        below, above = low0 + alpha * (low1 - low0), up0 + position * (up1 - up0)
        first = smooth.intercept(kind, lower, upper, below, -1)
        last = smooth.intercept(kind, lower, upper, above, 1)
        return below, np.nextafter(first - slack, -np.inf), above, np.nextafter(last + slack, np.inf)

    return make


@dataclass(frozen=True, eq=False)
class Pushed:
    """Rows at the bottom: coefficients `x` (n, I) and `offset` (n,) in the arithmetic of the network, their `error`
    (n,) float64, the final minimum over the box included."""

    x: np.ndarray
    offset: np.ndarray
    error: np.ndarray


def push(net: Collapsed, signs: np.ndarray, line: Lines, weight: np.ndarray, bias: np.ndarray, error: np.ndarray,
         beta: np.ndarray | None = None) -> Pushed:
    """Rows weight v + bias (n, width), (n,), known within +-error (n,) float64, as linear functions of x below them.
    Arrays of one row serve all. `signs`, `beta` (n or 1, U)."""
    a, zero = net.arithmetic, net.arithmetic.lift(np.zeros(1))
    n = max(len(weight), len(line), len(signs))
    form = np.broadcast_to(weight, (n, net.width)).copy()
    offset, error = np.broadcast_to(bias, (n,)).copy(), np.broadcast_to(error, (n,)).astype(np.float64)
    gamma = a.gamma(net.width + 4 * len(net.layers) + 16)
    if not a.exact:
        error = error + gamma * (np.abs(form) @ net.reach + np.abs(offset))
    for (layer, v, c), (per_slope, per_coefficient) in zip(reversed(net.spans), reversed(net.charges), strict=True):
        # Rows of neighbouring neurons of a convolution read few neurons: the others' coefficients are all 0.
        used = np.arange(layer.size) if a.exact or beta is not None else np.flatnonzero(form[:, v].any(0))
        used = used if 2 * len(used) < layer.size else slice(None)
        coefficient = form[:, v][:, used]
        positive = np.maximum(coefficient, zero)
        negative = coefficient - positive
        s = positive * a.lift(line.lower_slope[:, c][:, used]) + negative * a.lift(line.upper_slope[:, c][:, used])
        offset = offset + _dot(negative, a.lift(line.upper_intercept[:, c][:, used]))
        if layer.kind != "relu":
            offset = offset + _dot(positive, a.lift(line.lower_intercept[:, c][:, used]))
        if beta is not None:
            s = s - a.lift(beta[:, c] * signs[:, c])
        offset = offset + s @ layer.bias[used]
        form[:, : layer.start] += s @ layer.weight[used]
        error = error + a.above(np.abs(s)) @ per_slope[used]
        if not a.exact:
            error = error + (positive - negative) @ per_coefficient[used]
    x = form[:, : net.inputs]
    if not a.exact:
        error = error + gamma * (np.abs(x) @ net.reach[: net.inputs])
    return Pushed(x, offset, enlarged(error))


def _dot(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Products summed over the last axis, (n, u) and (n or 1, u): (n,)."""
    if left.dtype == object:
        return (left * right).sum(1)
    return np.einsum("nu,nu->n", left, np.broadcast_to(right, left.shape))


def minimum(net: Collapsed, domains: Domains, line: Lines, weight: np.ndarray, bias: np.ndarray, error: np.ndarray,
            beta: np.ndarray | None = None) -> np.ndarray:
    """Rigorous lower bounds (n,) float64 of rows (see `push`), row k on domain k, or all on one domain, or one row on
    all. Not finite where nothing was proved."""
    a = net.arithmetic
    found = push(net, domains.signs, line, weight, bias, error, beta)
    rising = np.maximum(found.x, a.lift(np.zeros(1)))
    low, high = a.lift(domains.x_lower), a.lift(domains.x_upper)
    bound = found.offset + _dot(rising, low) + _dot(found.x - rising, high)
    if a.exact:
        return a.below(bound - a.lift(found.error))
    return bound - found.error - 2.0**-50 * np.abs(bound)


def both_sides(net: Collapsed) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper bounds of every row of `net` on its whole box with default lines: two arrays (r,)."""
    domain, rows = whole(net), np.arange(len(net.weight))
    line, sign = lines(net, domain, default_alpha(net, domain)), np.repeat([1.0, -1.0], len(rows))
    low, high = np.split(_sides(net, domain, line, net, np.tile(rows, 2), sign), 2)
    return low, -high


def _sides(net: Collapsed, domains: Domains, line: Lines, source: Collapsed | Layer, k: np.ndarray, sign: np.ndarray,
           d: np.ndarray | None = None) -> np.ndarray:
    """Lower bounds of sign (n,) times rows k (n,) of `source`, -inf where there is none: (n,). On domains and lines d
    (n,), or their only one, or, d None, each on its own."""

    def bound(part: np.ndarray) -> np.ndarray:
        own, turn, rows = part if d is None else d[part], net.arithmetic.lift(sign[part]), k[part]
        where, with_ = (table if len(table) == 1 else table[own] for table in (domains, line))
        return minimum(net, where, with_, source.weight[rows] * turn[:, None], source.bias[rows] * turn,
                       source.error[rows])

    size = max(1, CHUNK_ENTRIES // max(net.width, 1))
    parts = [np.arange(start, min(start + size, len(k))) for start in range(0, len(k), size)]
    # Threads pay where numpy's steps are long; the many short ones of small networks hold each other up.
    found = np.concatenate([np.zeros(0), *(each(bound, parts) if net.width > WIDE else map(bound, parts))])
    return np.where(np.isfinite(found), found, -np.inf)


def refreshed(net: Collapsed, domains: Domains) -> tuple[Domains, np.ndarray]:
    """Every domain with the bounds of its unsplit neurons computed again on it, layer by layer, and a mask (n,) of the
    domains that are thereby proved to be empty.

    First by intervals, then, for neurons that these leave unstable, by passes with default lines: the side to which the
    interval leans, and the other one unless the first has made a ReLU stable.
    """
    lower, upper = domains.lower.copy(), domains.upper.copy()
    empty = np.zeros(len(domains), dtype=bool)
    reach_low, reach_high = np.zeros((len(domains), net.width)), np.zeros((len(domains), net.width))
    reach_low[:, : net.inputs], reach_high[:, : net.inputs] = domains.x_lower, domains.x_upper
    for (layer, mine, c), below in zip(net.spans, net.prefixes, strict=True):
        low, high = lower[:, c], upper[:, c]
        free = domains.signs[:, c] == 0
        found = _intervals(below, layer, reach_low[:, : layer.start], reach_high[:, : layer.start])
        # fmax, fmin: a NaN is no bound.
        np.fmax(low, found[0], out=low, where=free)
        np.fmin(high, found[1], out=high, where=free)
        before = Domains(domains.x_lower, domains.x_upper, lower[:, : c.start], upper[:, : c.start],
                         domains.signs[:, : c.start])
        line = lines(below, before, default_alpha(below, before))
        relu = layer.kind == "relu"
        rising = low + high > 0
        for turn in (rising, ~rising):
            open_ = free & unstable(low, high) if relu else free
            for side, wanted in ((1.0, open_ & turn), (-1.0, open_ & ~turn)):
                d, k = np.nonzero(wanted)
                bound = _sides(below, before, line, layer, k, np.full(len(k), side), d)
                if side > 0:
                    low[d, k] = np.maximum(low[d, k], bound)
                else:
                    high[d, k] = np.minimum(high[d, k], -bound)
        crossed = (low > high).any(1)
        empty |= crossed
        # An empty domain goes on with its old bounds: it is proved, and contradictory bounds have no lines.
        low[crossed], high[crossed] = domains.lower[crossed, c], domains.upper[crossed, c]
        first, last = image(layer.kind, low, high, net.slack)
        reach_low[:, mine], reach_high[:, mine] = first, np.where(domains.signs[:, c] < 0, 0.0, last)
    return replace(domains, lower=lower, upper=upper), empty


def _intervals(below: Collapsed, layer: Layer, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of z by interval arithmetic from bounds (n, width) of what the layer reads; rounding charged."""
    gamma = Float64.gamma(below.width + 8)
    weight, bias = layer.floats
    center = (low + high) / 2
    radius = np.maximum(high - center, center - low) + gamma * np.maximum(np.abs(low), np.abs(high))
    middle = center @ weight.T + bias
    wide = radius @ np.abs(weight).T + gamma * np.abs(bias) + layer.error + 2.0**-50 * np.abs(middle)
    wide = wide * (1 + 2 * gamma) + TINY
    return middle - wide, middle + wide


def image(kind: str, low: np.ndarray, high: np.ndarray, slack: float) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of y = f(z) from those of z, elementwise."""
    if kind == "relu":
        return np.maximum(low, 0.0), np.maximum(high, 0.0)
    first, last = smooth.image(kind, low, high)
    return np.nextafter(first - slack, -np.inf), np.nextafter(last + slack, np.inf)


def tightened(net: Collapsed, position: int, lower: np.ndarray, upper: np.ndarray) -> Collapsed:
    """The network with bounds of layer `position` met with these."""
    layer = net.layers[position]
    better = replace(layer, lower=np.maximum(layer.lower, lower), upper=np.minimum(layer.upper, upper))
    return replace(net, layers=(*net.layers[:position], better, *net.layers[position + 1 :]))


def with_lemmas(net: Collapsed, position: int, neurons: np.ndarray, sides: np.ndarray, alpha: np.ndarray,
                upper_position: np.ndarray | None) -> Collapsed:
    """`net` with bounds of the listed neurons (indices into layer `position`) proved with slopes of their own: `sides`
    0 for a lower bound, 1 for an upper one; `alpha` (k, columns of the earlier layers)."""
    layer, below = net.layers[position], net.prefixes[position]
    domain, above = whole(below), sides == 1
    line = lines(below, domain, alpha, upper_position)
    found = _sides(below, domain, line, layer, neurons, np.where(above, -1.0, 1.0))
    lower, upper = layer.lower.copy(), layer.upper.copy()
    np.maximum.at(lower, neurons[~above], found[~above])
    np.minimum.at(upper, neurons[above], -found[above])
    return tightened(net, position, lower, upper)


def reduced(net: Collapsed, domain: Domains) -> Collapsed:
    """The network collapsed again on one smaller domain (a batch of one with bounds that hold on it): unsplit ReLUs
    that have become stable are substituted. w += w_k row_k is charged with its rounding and the error of row k."""
    a, reach = net.arithmetic, net.reach
    lower, upper, signs = domain.lower[0], domain.upper[0], domain.signs[0]
    rows = [(layer.weight.copy(), layer.bias.copy(), layer.error.copy()) for layer in net.layers]
    rows.append((net.weight.copy(), net.bias.copy(), net.error.copy()))
    keep = np.ones(net.width, dtype=bool)
    gamma = a.gamma(net.width + 4)
    for position, (layer, columns, c) in enumerate(net.spans):
        stable = (signs[c] == 0) & ~unstable(lower[c], upper[c]) & (layer.kind == "relu")
        keep[columns] = ~stable
        active = stable & (lower[c] >= 0)
        if not active.any():
            continue
        weight, bias, error = (part[active] for part in rows[position])
        lost = error if a.exact else error + gamma * (np.abs(weight) @ reach[: layer.start] + np.abs(bias))
        for later in range(position + 1, len(rows)):
            w, b, e = rows[later]
            column = w[:, columns][:, active]
            w[:, : layer.start] = w[:, : layer.start] + column @ weight
            b = b + column @ bias
            e = e + a.above(np.abs(column)) @ lost
            if not a.exact:
                e = e + gamma * (np.abs(b) + np.abs(w) @ reach[: w.shape[1]])
            rows[later] = w, b, enlarged(e)
    return _without(net, domain, rows, keep)


def _without(net: Collapsed, domain: Domains, rows: list, keep: np.ndarray) -> Collapsed:
    """The network of the columns in `keep` only; the rows do not use the others any more."""
    layers, start = [], net.inputs
    lower, upper, signs = domain.lower[0], domain.upper[0], domain.signs[0]
    for (layer, v, c), (weight, bias, error) in zip(net.spans, rows[:-1], strict=True):
        mine = keep[v]
        if mine.any():
            layers.append(Layer(layer.order, layer.kind, layer.neurons[mine], start,
                                weight[mine][:, keep[: layer.start]], bias[mine], error[mine], lower[c][mine],
                                upper[c][mine]))
            start += int(mine.sum())
    weight, bias, error = rows[-1]
    return replace(net, x_lower=domain.x_lower[0], x_upper=domain.x_upper[0], layers=tuple(layers),
                   weight=weight[:, keep], bias=bias, error=error, signs=signs[keep[net.inputs :]])
