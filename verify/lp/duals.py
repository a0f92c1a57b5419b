"""The row duals of a leaf's linear program as dual parameters of the collapsed network.

Both speak about the same Lagrangian. Let w_r >= 0 be the multiplier of row h_r, s_k the multiplier with which the LP
lets z_k in (the sum over its rows y_k >= z_k, y_k <= z_k and the chord), and a_k the coefficient that then arrives on
y_k from the rows and from the later layers. `verify.bounds.dual` writes s_k as

    active:  s_k = a_k - beta_k,    inactive:  s_k = beta_k,    open:  s_k = a_k+ alpha_k + a_k- upper_slope_k,

so one walk from the rows down to the inputs solves for alpha_k and beta_k. What does not fit (a beta below 0, an alpha
outside [0, 1]) is projected, and the walk goes on with what was really used: the result is always sound, and gives the
LP's bound up to rounding where the LP did not lean on a bound y_k <= u_k. A leaf that is empty needs no row at all;
there the LP's multipliers are a Farkas certificate, which is scaled up until it outweighs one row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from verify.bounds.compact import CompactNetwork
from verify.bounds.dual import DualParams, DualProblem
from verify.lp.encode import row_interval, z_multipliers
from verify.ops import Relu

NO_WEIGHT = 1e-9
"""Row weights below this share of the multipliers are rounding: the leaf is empty without them."""


def dual_params(compact: CompactNetwork, disjunct: Sequence[int], signs: np.ndarray | None, duals: np.ndarray
                ) -> DualParams:
    """One row of parameters, float64, from the usable row duals (m,) of `encode(compact, disjunct, signs)` in either
    form; `weights` sum to 1 over the rows of `disjunct`."""
    problem = DualProblem.of(compact.to(dtype=torch.float64))
    count = problem.network.unstable
    fixed = torch.zeros(1, count, dtype=torch.int8) if signs is None else torch.from_numpy(signs).reshape(1, count)
    fixed = fixed.to(problem.network.row_weight.device)
    wanted = problem.network.row_weight.new_tensor(z_multipliers(compact, disjunct, signs, duals)).reshape(1, count)
    weights = problem.network.row_weight.new_zeros(1, problem.network.row_weight.shape[0])
    weights[0, list(disjunct)] = weights.new_tensor(-duals[: len(disjunct)]).clamp(min=0)
    total = float(weights.sum())
    if total > NO_WEIGHT * float(wanted.abs().max() if count else 0.0):
        return _solve(problem, fixed, weights / total, wanted / total)
    return _outweigh(problem, fixed, _one_row(compact, disjunct, weights), wanted)


def _one_row(compact: CompactNetwork, disjunct: Sequence[int], like: Tensor) -> Tensor:
    """All weight on the row of the disjunct that the box alone bounds best; no weight on an empty conjunction."""
    weights = torch.zeros_like(like)
    if len(disjunct):
        weights[0, list(disjunct)[int(row_interval(compact, disjunct)[0].argmax())]] = 1.0
    return weights


def _outweigh(problem: DualProblem, signs: Tensor, weights: Tensor, wanted: Tensor) -> DualParams:
    """One row, and so much of a proof that the leaf is empty that the sum is positive."""
    row = _solve(problem, signs, weights, torch.zeros_like(wanted), beta=False)
    empty = _solve(problem, signs, torch.zeros_like(weights), wanted)
    gain, lost = (float(problem.rigorous(params, signs)[0]) for params in (empty, row))
    if not gain > 0 or not np.isfinite(lost):
        return row
    factor = 1.0 + 2.0 * max(-lost, 0.0) / gain
    both = problem.backward(row, signs).slopes + factor * problem.backward(empty, signs).slopes
    return _solve(problem, signs, weights, both)


def _solve(problem: DualProblem, signs: Tensor, weights: Tensor, wanted: Tensor, beta: bool = True) -> DualParams:
    """The walk of the module docstring for one leaf: `wanted` (1, u) are the s; without `beta` all betas are 0."""
    params = problem.initial(weights)
    net, lines, first = problem.network, problem.lines, problem.network.inputs
    form = weights @ net.row_weight
    for layer in reversed(net.layers):
        u = slice(layer.start - first, layer.start - first + layer.size)
        a, target, sign = form[:, layer.columns], wanted[:, u], signs[:, u]
        positive, negative = a.clamp(min=0), a.clamp(max=0)
        if isinstance(layer.op, Relu):
            slope = torch.where(positive > 0, target / positive.clamp(min=torch.finfo(a.dtype).tiny), 0.0).clamp(0, 1)
            params.alpha[:, u] = torch.where((positive > 0) & (sign == 0), slope, params.alpha[:, u])
            if beta:
                params.beta[:, u] = torch.where(sign > 0, a - target, torch.where(sign < 0, target, 0.0)).clamp(min=0)
        else:
            params.alpha[:, u] = params.upper[:, u] = 0.0  # the LP has the first of the two lines only
        lower = lines.lower_slope[u] + params.alpha[:, u] * lines.lower_slope_step[u]
        s = positive * lower + negative * lines.upper_slope[u]
        s = torch.where(sign > 0, a - params.beta[:, u], torch.where(sign < 0, params.beta[:, u], s))
        form[:, : layer.start] += s @ layer.weight
    return params
