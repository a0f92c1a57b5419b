"""Gurobi, where `gurobipy` is installed and licensed; any Gurobi error falls back to the free solver.

Only `verify.lp.backend` imports this module, and only when gurobipy can be found.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from types import MappingProxyType

import gurobipy as gp
import numpy as np

from verify.budget import never
from verify.lp.model import LinearProgram, LpSolution, MilpSolution, SolveStatus
from verify.lp.safe import FEASIBILITY

_LOG = logging.getLogger(__name__)
_STATUS = MappingProxyType({
    gp.GRB.OPTIMAL: SolveStatus.OPTIMAL, gp.GRB.INFEASIBLE: SolveStatus.INFEASIBLE, gp.GRB.TIME_LIMIT: SolveStatus.TIME,
    gp.GRB.INTERRUPTED: SolveStatus.STOPPED, gp.GRB.USER_OBJ_LIMIT: SolveStatus.STOPPED,
})


def _build(lp: LinearProgram, settings: dict[str, float], integer: bool):
    """(environment, model, variables, rows below, rows above) after optimisation; the caller disposes of the first."""
    env = gp.Env(params={"OutputFlag": 0})
    model = gp.Model(env=env)
    for name, value in settings.items():
        model.setParam(name, value)
    kinds = np.where(lp.integer & integer, gp.GRB.INTEGER, gp.GRB.CONTINUOUS)
    x = model.addMVar(lp.columns, lb=lp.col_lower, ub=lp.col_upper, vtype=kinds, obj=lp.cost)
    below, above = np.isfinite(lp.row_lower), np.isfinite(lp.row_upper)
    lows = model.addConstr(lp.matrix[below] @ x >= lp.row_lower[below])
    highs = model.addConstr(lp.matrix[above] @ x <= lp.row_upper[above])
    return env, model, x, lows, highs


def _settings(seconds: float, threads: int) -> dict[str, float]:
    return {
        "TimeLimit": max(seconds, 0.0), "Threads": threads, "FeasibilityTol": FEASIBILITY,
        "OptimalityTol": FEASIBILITY, "IntFeasTol": FEASIBILITY,
    }


def solve_lp(lp: LinearProgram, seconds: float, threads: int = 1) -> LpSolution:
    """Solves the continuous relaxation within `seconds`."""
    try:
        env, model, x, lows, highs = _build(lp, _settings(seconds, threads), integer=False)
        with env, model:
            model.optimize()
            status = _STATUS.get(model.Status, SolveStatus.FAILED)
            if status is not SolveStatus.OPTIMAL:
                return LpSolution(status)
            duals = np.zeros(lp.rows)
            duals[np.isfinite(lp.row_lower)] += lows.Pi
            duals[np.isfinite(lp.row_upper)] += highs.Pi
            return LpSolution(status, x.X, duals, model.ObjVal)
    except gp.GurobiError as error:
        _LOG.info("Gurobi gave up on an LP (%s); using HiGHS", error)
        from verify.lp.backend import free_backend

        return free_backend().lp(lp, seconds, threads)


def solve_milp(
    lp: LinearProgram,
    seconds: float,
    threads: int = 1,
    stop_when_bound_above: float = math.inf,
    stop_when_incumbent_below: float = -math.inf,
    cancelled: Callable[[], bool] = never,
) -> MilpSolution:
    """Branch and cut within `seconds`, ended early once the dual bound or the incumbent says enough, or on demand."""
    settings = _settings(seconds, threads)
    if math.isfinite(stop_when_bound_above):
        settings["BestBdStop"] = stop_when_bound_above
    if math.isfinite(stop_when_incumbent_below):
        settings["BestObjStop"] = stop_when_incumbent_below
    try:
        env, model, x, _, _ = _build(lp, settings, integer=True)
        with env, model:
            model.optimize(lambda m, where: m.terminate() if cancelled() else None)
            status = _STATUS.get(model.Status, SolveStatus.FAILED)
            if status is SolveStatus.INFEASIBLE:
                return MilpSolution(status, math.inf)
            point = x.X if model.SolCount else None
            value = model.ObjVal if model.SolCount else math.nan
            return MilpSolution(status, model.ObjBound, point, value, int(model.NodeCount))
    except gp.GurobiError as error:
        _LOG.info("Gurobi gave up on a MILP (%s); using HiGHS", error)
        from verify.lp.backend import free_backend

        return free_backend().milp(lp, seconds, threads, stop_when_bound_above, stop_when_incumbent_below, cancelled)
