"""The HiGHS inside scipy, for installations without `highspy`: the same answers, without early stops or threads."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import MappingProxyType

import numpy as np
from scipy import optimize, sparse

from verify.budget import never
from verify.lp.model import LinearProgram, LpSolution, MilpSolution, SolveStatus
from verify.lp.safe import FEASIBILITY

_STATUS = MappingProxyType({0: SolveStatus.OPTIMAL, 1: SolveStatus.TIME, 2: SolveStatus.INFEASIBLE})


def solve_lp(lp: LinearProgram, seconds: float, threads: int = 1) -> LpSolution:
    """Solves the continuous relaxation within `seconds`. linprog knows only A x <= b, so two-sided rows go twice."""
    above, below = np.isfinite(lp.row_upper), np.isfinite(lp.row_lower)
    matrix = sparse.vstack([lp.matrix[above], -lp.matrix[below]], format="csr")
    limits = np.concatenate([lp.row_upper[above], -lp.row_lower[below]])
    answer = optimize.linprog(
        lp.cost, matrix, limits, bounds=np.stack([lp.col_lower, lp.col_upper], 1), method="highs",
        options={
            "time_limit": max(seconds, 0.0), "primal_feasibility_tolerance": FEASIBILITY,
            "dual_feasibility_tolerance": FEASIBILITY,
        },
    )
    status = _STATUS.get(answer.status, SolveStatus.FAILED)
    if status is not SolveStatus.OPTIMAL:
        return LpSolution(status)
    duals = np.zeros(lp.rows)
    duals[above] += answer.ineqlin.marginals[: above.sum()]
    duals[below] -= answer.ineqlin.marginals[above.sum() :]
    return LpSolution(status, answer.x, duals, float(answer.fun))


def solve_milp(
    lp: LinearProgram,
    seconds: float,
    threads: int = 1,
    stop_when_bound_above: float = math.inf,
    stop_when_incumbent_below: float = -math.inf,
    cancelled: Callable[[], bool] = never,
) -> MilpSolution:
    """Branch and cut within `seconds`; runs to the end, whatever the stops say."""
    answer = optimize.milp(
        lp.cost, integrality=lp.integer.astype(int), bounds=optimize.Bounds(lp.col_lower, lp.col_upper),
        constraints=optimize.LinearConstraint(lp.matrix, lp.row_lower, lp.row_upper),
        options={"time_limit": max(seconds, 0.0), "mip_rel_gap": 1e-6},
    )
    status = _STATUS.get(answer.status, SolveStatus.FAILED)
    if status is SolveStatus.FAILED:
        return MilpSolution(status)
    if status is SolveStatus.INFEASIBLE:
        return MilpSolution(status, math.inf)
    bound = -math.inf if answer.mip_dual_bound is None else float(answer.mip_dual_bound)
    value = math.nan if answer.x is None else float(answer.fun)
    return MilpSolution(status, bound, answer.x, value, int(answer.mip_node_count or 0))
