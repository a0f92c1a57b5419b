"""A compacted network and one disjunct as a linear or mixed-integer program.

Columns: v = [varying inputs, outputs y of the unstable neurons], then t, then one binary p per `integers` neuron.
With z = W v + b (exact within +-e), l < 0 < u the pre-activation bounds, and rows h_r of the disjunct:

    minimise t   subject to   h_r(v) - e_r <= t                                      for every row r
    every ReLU     y >= z - e,  0 <= y <= u
    open           (u - l)/u y <= z + e - l         triangle (Ehlers 2017), divided by u/(u-l)
    binary         y <= u p,  y <= z + e - l (1-p)  big-M (Tjeng et al. 2019)
    active         y <= z + e
    inactive       y <= 0
    sigmoid, tanh  the lower and upper line of the relaxation

The region holds no point of the disjunct if the optimum is positive. The triangle is written divided by its slope so
that W enters every row as it is: the only numbers that are computed are right sides and one coefficient, and these
are rounded to the weak side. All neurons fixed, the program is exact up to the error terms.

Elastic form: a split region may be empty, and then a solver has no duals to show. There t lives in [0, 1] and also
relaxes the split rows, y <= z + e - l t and y <= u t, and the rows h_r - e_r <= s_r t with s_r the largest h_r. Every
true point of the network satisfies it for t = 1, so it always has an optimum, and that is positive if (and, all
neurons fixed, only if) the region holds no point of the disjunct.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from verify.bounds.compact import CompactLayer, CompactNetwork
from verify.errors import BrokenInvariant, UnsupportedOperator
from verify.lp.model import LinearProgram
from verify.ops import Relu, SShaped
from verify.relaxations.s_shaped import s_shaped_lines
from verify.sets import Interval, gamma

STEEPEST = 1e6
"""Cap of (u - l)/u: for a tiny u the row says no more than y <= u, and large coefficients only hurt the solver."""


@dataclass(frozen=True, eq=False)
class _Block:
    """Rows `weight` @ v[:start] + sum of coefficient * column, between `lower` and `upper`. `neurons` (rows,): those
    of the layer whose -z is the weight part of the row; None where z does not occur."""

    weight: np.ndarray
    extra: tuple[tuple[np.ndarray, np.ndarray], ...]
    lower: np.ndarray
    upper: np.ndarray
    neurons: np.ndarray | None = None

    def matrix(self, columns: int) -> sparse.coo_matrix:
        rows = np.arange(self.lower.size)
        dense = sparse.coo_matrix(self.weight)
        parts = [(dense.data, dense.row, dense.col)]
        parts += [(coeff, rows, cols) for cols, coeff in self.extra]
        data, row, col = (np.concatenate(p) for p in zip(*parts, strict=True))
        return sparse.coo_matrix((data, (row, col)), shape=(rows.size, columns))


def to_numpy(x: Tensor) -> np.ndarray:
    """float64 copy on the CPU; exact for float32 and float64."""
    return x.detach().cpu().to(torch.float64).numpy()


def down(x: np.ndarray) -> np.ndarray:
    """Below the exact value of one rounded operation."""
    return np.nextafter(x, -np.inf)


def up(x: np.ndarray) -> np.ndarray:
    """Above the exact value of one rounded operation."""
    return np.nextafter(x, np.inf)


def neuron_count(compact: CompactNetwork) -> int:
    """U: unstable neurons of all layers."""
    return sum(layer.bias.numel() for layer in compact.layers)


def is_relu(compact: CompactNetwork) -> np.ndarray:
    """bool (U,): the neurons that have two linear phases."""
    phases = [np.full(layer.bias.numel(), isinstance(layer.op, Relu)) for layer in compact.layers]
    return np.concatenate([np.zeros(0, dtype=bool), *phases])


def _pre(layer: CompactLayer) -> Interval:
    """The pre-activation bounds in float64, one domain."""
    return Interval(layer.lower.cpu().double().unsqueeze(0), layer.upper.cpu().double().unsqueeze(0))


def column_bounds(compact: CompactNetwork) -> tuple[np.ndarray, np.ndarray]:
    """Sound box of v = [x, y]: two (width,) arrays."""
    lower, upper = [to_numpy(compact.x_lower)], [to_numpy(compact.x_upper)]
    for layer in compact.layers:
        if not isinstance(layer.op, Relu | SShaped):
            raise UnsupportedOperator(
                f"node {layer.node!r}: linear programs take Relu, Sigmoid and Tanh, not {type(layer.op).__name__}"
            )
        image = layer.op.interval(_pre(layer))
        lower.append(to_numpy(image.lower[0]))
        upper.append(to_numpy(image.upper[0]))
    return np.concatenate(lower), np.concatenate(upper)


def row_interval(compact: CompactNetwork, disjunct: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Interval bounds of the disjunct's rows h_r, error and rounding included: two (len(disjunct),) arrays."""
    rows = list(disjunct)
    weight, bias = to_numpy(compact.row_weight)[rows], to_numpy(compact.row_bias)[rows]
    lower, upper = column_bounds(compact)
    positive, negative = weight.clip(min=0), weight.clip(max=0)
    mass = np.abs(weight) @ np.maximum(np.abs(lower), np.abs(upper)) + np.abs(bias)
    slack = to_numpy(compact.row_error)[rows] + 2 * gamma(weight.shape[1] + 4, torch.float64) * mass
    least, most = positive @ lower + negative @ upper, positive @ upper + negative @ lower
    return down(least + bias - slack), up(most + bias + slack)


def _relu_blocks(layer: CompactLayer, signs: np.ndarray, binary: np.ndarray, t: int | None) -> list[_Block]:
    """Rows of one ReLU layer. `binary` (U,): column of the neuron's p, or -1; `t`: its column in the elastic form."""
    weight, bias, error = to_numpy(layer.weight), to_numpy(layer.bias), to_numpy(layer.error)
    l, u = to_numpy(layer.lower), to_numpy(layer.upper)
    if not ((l < 0) & (u > 0) & (error >= 0)).all():
        raise BrokenInvariant(f"node {layer.node!r}: an unstable ReLU needs lower < 0 < upper and an error >= 0")
    count = bias.size
    columns, one, none = layer.start + np.arange(count), np.ones(count), np.zeros((count, layer.start))
    high = up(bias + error)
    chord = np.minimum(down(down(u - l) / u), STEEPEST)

    def at_most(limit: np.ndarray, chosen: np.ndarray, coeff: np.ndarray, w: np.ndarray, *extra) -> _Block:
        """coeff y - w v + extra <= limit, for the chosen neurons."""
        k = np.flatnonzero(chosen)
        terms = ((columns, coeff), *extra)
        picked = tuple((np.broadcast_to(cols, (count,))[k], c[k]) for cols, c in terms)
        return _Block(-w[k], picked, np.full(k.size, -np.inf), limit[k], None if w is none else k)

    is_open, mixed = (signs == 0) & (binary < 0), (signs == 0) & (binary >= 0)
    slack = (() if t is None else ((t, l),), () if t is None else ((t, -u),))
    blocks = [
        _Block(-weight, ((columns, one),), down(bias - error), np.full(count, np.inf), np.arange(count)),
        at_most(up(high - l), is_open, chord, weight),
        at_most(up(high - l), mixed, one, weight, (binary, -l)),
        at_most(np.zeros(count), mixed, one, none, (binary, -u)),
        at_most(high, signs > 0, one, weight, *slack[0]),
        at_most(np.zeros(count), signs < 0, one, none, *slack[1]),
    ]
    return [block for block in blocks if block.lower.size]


def _s_shaped_blocks(layer: CompactLayer) -> list[_Block]:
    """slope z + intercept lines of an increasing f, divided by their slope so that W enters as it is; lines that are
    nearly flat are replaced by their constant end, which the column bounds of y already say."""
    weight, bias, error = to_numpy(layer.weight), to_numpy(layer.bias), to_numpy(layer.error)
    lines = s_shaped_lines(layer.op, _pre(layer))
    columns, blocks = layer.start + np.arange(bias.size), []
    for lower_side in (True, False):
        slope = to_numpy((lines.lower_slope if lower_side else lines.upper_slope)[0])
        shift = to_numpy((lines.lower_intercept if lower_side else lines.upper_intercept)[0])
        k = np.flatnonzero(slope > 1.0 / STEEPEST)
        inverse = 1.0 / slope[k]
        # Rounding of inverse (times |y| <= 1), of shift * inverse and of the sum: far below eight ulp of the parts.
        pad = 8 * np.finfo(np.float64).eps * (np.abs(bias[k]) + error[k] + inverse * (1.0 + np.abs(shift[k])))
        limit = bias[k] + inverse * shift[k]
        infinite = np.full(k.size, np.inf)
        sides = (limit - error[k] - pad, infinite) if lower_side else (-infinite, limit + error[k] + pad)
        blocks.append(_Block(-weight[k], ((columns[k], inverse),), *sides, k))
    return [block for block in blocks if block.lower.size]


def _layer_blocks(layer: CompactLayer, signs: np.ndarray, binary: np.ndarray, t: int | None) -> list[_Block]:
    """The rows of one layer; an S-shaped one has no phases, so nothing of it can be fixed."""
    if isinstance(layer.op, Relu):
        return _relu_blocks(layer, signs, binary, t)
    if signs.any():
        raise BrokenInvariant(f"node {layer.node!r}: only ReLU neurons can be fixed by a sign")
    return _s_shaped_blocks(layer)


def _spec_block(compact: CompactNetwork, disjunct: Sequence[int], t: int, scale: np.ndarray) -> _Block:
    """h_r(v) - e_r <= scale_r t."""
    rows = list(disjunct)
    weight, bias = to_numpy(compact.row_weight)[rows], to_numpy(compact.row_bias)[rows]
    limit = up(to_numpy(compact.row_error)[rows] - bias)
    return _Block(weight, ((np.full(len(rows), t), -scale),), np.full(len(rows), -np.inf), limit)


def _t_range(low: np.ndarray, high: np.ndarray, error: np.ndarray) -> tuple[float, float]:
    """Where max_r (h_r - e_r) can be; 0 for the empty conjunction, which is never proved by t."""
    if not low.size:
        return 0.0, 0.0
    lowest = down(low - error).max()
    return float(lowest), float(max(high.max(), lowest))


def _per_neuron(values: np.ndarray | None, count: int, dtype: type) -> np.ndarray:
    """`values` checked to have one entry per unstable neuron; zeros for None."""
    if values is None:
        return np.zeros(count, dtype=dtype)
    values = np.asarray(values, dtype=dtype)
    if values.shape != (count,):
        raise BrokenInvariant(f"one entry per unstable neuron ({count}) is needed, got shape {values.shape}")
    return values


def encode(
    compact: CompactNetwork,
    disjunct: Sequence[int],
    signs: np.ndarray | None = None,
    integers: np.ndarray | None = None,
    elastic: bool = False,
) -> LinearProgram:
    """The program of the module docstring for the rows `disjunct` of `compact`.

    signs: int8 (U,), +1 active, -1 inactive, 0 open, over the neurons of all layers in order. integers: bool (U,),
    ReLU neurons that get a binary (ignored where a sign fixes them). Raises UnsupportedOperator for an activation
    without phases or lines, BrokenInvariant for bounds that are not finite or, for a ReLU, not l < 0 < u.
    """
    count = neuron_count(compact)
    fixed = _per_neuron(signs, count, np.int8)
    lower, upper = column_bounds(compact)
    t = lower.size
    mixed = np.flatnonzero(_per_neuron(integers, count, bool) & (fixed == 0) & is_relu(compact))
    columns = t + 1 + mixed.size
    binary = np.full(count, -1)
    binary[mixed] = t + 1 + np.arange(mixed.size)

    low, high = row_interval(compact, disjunct)
    t_low, t_high = (0.0, 1.0) if elastic else _t_range(low, high, to_numpy(compact.row_error)[list(disjunct)])
    scale = np.maximum(high, 1e-6) if elastic else np.ones(low.size)
    blocks, first = [_spec_block(compact, disjunct, t, scale)], 0
    for layer in compact.layers:
        here = slice(first, first + layer.bias.numel())
        blocks += _layer_blocks(layer, fixed[here], binary[here], t if elastic else None)
        first = here.stop

    matrix = sparse.vstack([block.matrix(columns) for block in blocks], format="csr")
    cost, integer = np.zeros(columns), np.zeros(columns, dtype=bool)
    cost[t], integer[t + 1 :] = 1.0, True
    return LinearProgram.from_matrix(
        cost, matrix,
        np.concatenate([block.lower for block in blocks]), np.concatenate([block.upper for block in blocks]),
        np.concatenate([lower, [t_low], np.zeros(mixed.size)]), np.concatenate([upper, [t_high], np.ones(mixed.size)]),
        integer,
    )


def z_multipliers(compact: CompactNetwork, disjunct: Sequence[int], signs: np.ndarray | None, duals: np.ndarray
                  ) -> np.ndarray:
    """(U,): the multiplier that `duals` (m,), the row duals of `encode(compact, disjunct, signs)` in either form,
    hand to every neuron's z: the sum over the rows in which -z occurs."""
    count = neuron_count(compact)
    fixed, total = _per_neuron(signs, count, np.int8), np.zeros(count)
    row, first = len(disjunct), 0
    for layer in compact.layers:
        size = layer.bias.numel()
        for block in _layer_blocks(layer, fixed[first : first + size], np.full(size, -1), None):
            if block.neurons is not None:
                total[first + block.neurons] += duals[row : row + block.lower.size]
            row += block.lower.size
        first += size
    return total
