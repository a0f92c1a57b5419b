"""Bounds that stay true whatever the solver did.

Weak duality: for every x inside the rows and columns and every multiplier y,

    c.x = y.(A x) + (c - A'y).x  >=  sum_i min(y_i rl_i, y_i ru_i) + sum_j min(d_j l_j, d_j u_j),   d = c - A'y

(y_i of the sign that would need an infinite side is set to 0, which is just another multiplier). The right side is
recomputed here in float64 and lowered by a bound of its rounding error (Neumaier & Shcherbina, "Safe bounds in linear
and mixed-integer linear programming", Math. Program. 2004; error constants: Higham 2002, ch. 3). So a solver that
returns wrong, random or NaN duals can only weaken the answer.

Mixed-integer programs have no such short proof: their dual bound is the solver's word, and it counts only beyond
`milp_margin`.
"""

from __future__ import annotations

import numpy as np
import torch

from verify.lp.model import LinearProgram
from verify.sets import gamma

FEASIBILITY = 1e-9
"""Feasibility, optimality and integrality tolerance that every solver of this package is given."""

MARGIN_FACTOR = 1000.0
"""How many times the tolerance's effect on the worst row a MILP bound must exceed."""


def usable_duals(lp: LinearProgram, duals: np.ndarray) -> np.ndarray:
    """The duals with every entry that proves nothing (not finite, or leaning on an infinite side) set to 0."""
    y = np.where(np.isfinite(duals), duals, 0.0)
    y = np.where((y > 0) & ~np.isfinite(lp.row_lower), 0.0, y)
    return np.where((y < 0) & ~np.isfinite(lp.row_upper), 0.0, y)


def safe_lower_bound(lp: LinearProgram, row_duals: np.ndarray | None) -> float:
    """A number that no point of the program is below, from any `row_duals` (m,); -inf when they are useless.

    Integrality is ignored, so the bound holds for the mixed-integer program too.
    """
    if row_duals is None or row_duals.shape != (lp.rows,):
        return float("-inf")
    y = usable_duals(lp, np.asarray(row_duals, dtype=np.float64))
    side = np.where(y > 0, lp.row_lower, lp.row_upper)
    side = np.where(y == 0, 0.0, side)
    magnitude = np.maximum(np.abs(lp.col_lower), np.abs(lp.col_upper))
    # Overflow gives inf or NaN below, and those give -inf.
    with np.errstate(over="ignore", invalid="ignore"):
        reduced = lp.cost - lp.matrix.T @ y
        spread = np.abs(lp.cost) + abs(lp.matrix).T @ np.abs(y)
        value = side @ y + np.minimum(reduced * lp.col_lower, reduced * lp.col_upper).sum()
        mass = np.abs(side) @ np.abs(y) + spread @ magnitude
        # Every path from data to `value` has at most rows + 1 roundings in `reduced` and rows + columns in the sums;
        # gamma charges eight more. `mass` itself is rounded, hence the factor 2. Underflow: half a subnormal per
        # product, each multiplied by at most one column magnitude.
        terms = 2 * lp.rows + lp.columns + 2
        tiny = np.finfo(np.float64).tiny
        underflow = tiny * (lp.values.size + lp.rows + lp.columns) * (1.0 + magnitude.max(initial=0.0))
        bound = value - 2.0 * gamma(terms, torch.float64) * mass - underflow
    return float(bound) if np.isfinite(bound) else float("-inf")


def milp_margin(lp: LinearProgram) -> float:
    """What a MILP dual bound must exceed to count.

    The solver treats a row as satisfied within FEASIBILITY and a binary as integral within FEASIBILITY, so it works
    with row i only up to FEASIBILITY (1 + a_i), a_i = sum_j |A_ij| max(|l_j|, |u_j|): a binary that is off by delta
    moves a big-M row by |A_ij| delta, and the rounding inside the solver, 1e-16 a_i, is far below. Its dual values
    carry the same relative error. The rows of several layers add up along the network; MARGIN_FACTOR covers that sum
    with room. It is an engineering margin, not a theorem: proofs that must stand alone use `safe_lower_bound`.
    """
    magnitude = np.maximum(np.abs(lp.col_lower), np.abs(lp.col_upper))
    activity = (abs(lp.matrix) @ magnitude).max(initial=0.0)
    return MARGIN_FACTOR * FEASIBILITY * (1.0 + float(activity))
