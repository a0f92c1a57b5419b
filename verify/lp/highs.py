"""HiGHS (Huangfu & Hall, "Parallelizing the dual revised simplex method", 2018) through `highspy`.

Answers are claims: see `verify.lp.safe` for what may be concluded from them. The solver runs without the interpreter
lock and keeps its own time limit. Its thread pool belongs to the process: a call with another thread count than the
last one rebuilds the pool, so thread counts must not differ between solves that run at the same time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import MappingProxyType

import highspy
import numpy as np

from verify.budget import never
from verify.lp.model import LinearProgram, LpSolution, MilpSolution, SolveStatus
from verify.lp.safe import FEASIBILITY

_STATUS = MappingProxyType({
    highspy.HighsModelStatus.kOptimal: SolveStatus.OPTIMAL,
    highspy.HighsModelStatus.kInfeasible: SolveStatus.INFEASIBLE,
    highspy.HighsModelStatus.kTimeLimit: SolveStatus.TIME,
    highspy.HighsModelStatus.kInterrupt: SolveStatus.STOPPED,
    highspy.HighsModelStatus.kHighsInterrupt: SolveStatus.STOPPED,
    highspy.HighsModelStatus.kObjectiveTarget: SolveStatus.STOPPED,
})


def _model(lp: LinearProgram, integer: bool) -> highspy.HighsLp:
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = lp.columns, lp.rows
    model.col_cost_, model.col_lower_, model.col_upper_ = lp.cost, lp.col_lower, lp.col_upper
    model.row_lower_, model.row_upper_ = lp.row_lower, lp.row_upper
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.start_, model.a_matrix_.index_, model.a_matrix_.value_ = lp.starts, lp.indices, lp.values
    if integer:
        kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
        model.integrality_ = [kinds[int(flag)] for flag in lp.integer]
    return model


class _Silent(highspy.Highs):
    """A solver that says nothing: from 1.16 on, preparing callbacks (in the constructor) writes a banner to standard
    output, where the verdict must come first."""

    def enableCallbacks(self) -> None:
        self.setOptionValue("output_flag", False)
        super().enableCallbacks()


def _solver(lp: LinearProgram, seconds: float, threads: int, integer: bool) -> highspy.Highs:
    solver = _Silent()
    settings = {
        "output_flag": False, "time_limit": max(seconds, 0.0), "threads": threads, "random_seed": 0,
        "primal_feasibility_tolerance": FEASIBILITY, "dual_feasibility_tolerance": FEASIBILITY,
        "mip_feasibility_tolerance": FEASIBILITY, "mip_rel_gap": 1e-6, "mip_abs_gap": 1e-7,
    }
    for name, value in settings.items():
        solver.setOptionValue(name, value)
    solver.passModel(_model(lp, integer))
    return solver


def _run(
    lp: LinearProgram, seconds: float, threads: int, integer: bool, watch: Callable | None = None
) -> tuple[highspy.Highs, SolveStatus]:
    """Solves once; once more on a new thread pool when the pool of an earlier call had another size."""
    for _ in range(2):
        solver = _solver(lp, seconds, threads, integer)
        if watch is not None:
            solver.cbMipInterrupt.subscribe(watch)
        if solver.run() != highspy.HighsStatus.kError:
            break
        highspy.Highs.resetGlobalScheduler(True)
    return solver, _STATUS.get(solver.getModelStatus(), SolveStatus.FAILED)


def _point(solver: highspy.Highs) -> np.ndarray | None:
    solution = solver.getSolution()
    return np.array(solution.col_value) if solution.value_valid else None


def solve_lp(lp: LinearProgram, seconds: float, threads: int = 1) -> LpSolution:
    """Solves the continuous relaxation within `seconds`; integrality is ignored."""
    solver, status = _run(lp, seconds, threads, integer=False)
    solution = solver.getSolution()
    duals = np.array(solution.row_dual) if solution.dual_valid else None
    value = solver.getInfo().objective_function_value if status is SolveStatus.OPTIMAL else math.nan
    return LpSolution(status, _point(solver), duals, value)


def solve_milp(
    lp: LinearProgram,
    seconds: float,
    threads: int = 1,
    stop_when_bound_above: float = math.inf,
    stop_when_incumbent_below: float = -math.inf,
    cancelled: Callable[[], bool] = never,
) -> MilpSolution:
    """Branch and cut within `seconds`, ended early once the dual bound or the incumbent says enough, or on demand."""

    def watch(event) -> None:
        out = event.data_out
        enough = out.mip_dual_bound > stop_when_bound_above or out.mip_primal_bound < stop_when_incumbent_below
        if enough or cancelled():
            event.data_in.user_interrupt = True

    solver, status = _run(lp, seconds, threads, True, watch)
    info, point = solver.getInfo(), _point(solver)
    if status is SolveStatus.FAILED:
        return MilpSolution(status)
    bound = math.inf if status is SolveStatus.INFEASIBLE else info.mip_dual_bound
    value = info.objective_function_value if point is not None else math.nan
    return MilpSolution(status, bound, point, value, max(0, info.mip_node_count))
