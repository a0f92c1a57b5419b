"""Decides a subproblem by a linear program (leaves of the split tree) or by a mixed-integer one.

Sound: an LP counts by the bound recomputed from its duals, a MILP by a dual bound beyond `milp_margin`. Complete for
ReLU networks up to rounding: a leaf whose neurons are all fixed is an LP without relaxation.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from verify.bounds.compact import CompactNetwork
from verify.bounds.dual import DualParams
from verify.budget import never
from verify.lp.backend import Backend, default_backend
from verify.lp.duals import dual_params
from verify.lp.encode import encode, is_relu, neuron_count, row_interval, to_numpy
from verify.lp.model import LinearProgram, LpSolution, MilpSolution, SolveStatus
from verify.lp.safe import milp_margin, safe_lower_bound, usable_duals
from verify.lp.scaling import equilibrate

_COUNTS = (SolveStatus.OPTIMAL, SolveStatus.STOPPED, SolveStatus.TIME)
"""The ways to end after which a MILP dual bound means something."""


@dataclass(frozen=True, eq=False)
class LeafResult:
    """`bound` > 0 proves that the subproblem has no point of the disjunct; otherwise it is a lower bound of the
    largest row there, -inf when nothing is known. `candidate` (I,) float64: the minimising values of the varying
    inputs, to be replayed. `exact`: the program had no relaxation and was solved, so (up to rounding) a bound <= 0
    means that `candidate` is a counterexample. `status`: how the solver ended. `params`: where asked for, an LP's proof
    as dual parameters of the collapsed network (one row)."""

    bound: float
    candidate: np.ndarray | None
    exact: bool
    status: SolveStatus
    params: DualParams | None = None


def _candidate(compact: CompactNetwork, x: np.ndarray | None) -> np.ndarray | None:
    """The input part of a solver's point, moved into the box that solvers leave by their tolerance."""
    lower, upper = to_numpy(compact.x_lower), to_numpy(compact.x_upper)
    if x is None or not np.isfinite(x).all():
        return None
    return np.clip(x[: lower.size], lower, upper)


def _interval_bound(compact: CompactNetwork, disjunct: Sequence[int]) -> float:
    """What the box alone says: the largest lower bound of a row."""
    lower, _ = row_interval(compact, disjunct)
    return float(lower.max(initial=-math.inf))


def _all_fixed(compact: CompactNetwork, signs: np.ndarray | None) -> bool:
    """No neuron is relaxed in the LP."""
    fixed = 0 if signs is None else np.count_nonzero(signs)
    return neuron_count(compact) == fixed


def _finite(compact: CompactNetwork) -> bool:
    """Whether a program can be written down: overflow at the root leaves infinite bounds, which prove nothing."""
    layers = [t for layer in compact.layers for t in (layer.weight, layer.bias, layer.error, layer.lower, layer.upper)]
    rows = (compact.x_lower, compact.x_upper, compact.row_weight, compact.row_bias, compact.row_error)
    return all(bool(torch.isfinite(t).all()) for t in (*rows, *layers))


def _solve_lp(solver: Backend, program: LinearProgram, seconds: float) -> LpSolution:
    """Solved in equilibrated units, answered in the program's own."""
    scaled = equilibrate(program)
    answer = solver.lp(scaled.program, seconds)
    return replace(answer, x=scaled.point(answer.x), row_duals=scaled.duals(answer.row_duals))


def _solve_milp(solver: Backend, program: LinearProgram, *limits) -> MilpSolution:
    """Solved in equilibrated units, which keep the objective; answered in the program's own."""
    scaled = equilibrate(program)
    answer = solver.milp(scaled.program, *limits)
    return replace(answer, x=scaled.point(answer.x))


def _proof(compact: CompactNetwork, disjunct: Sequence[int], signs: np.ndarray | None, program: LinearProgram,
           solution: LpSolution) -> DualParams:
    """The multipliers that `safe_lower_bound` used, as dual parameters; without any, those of the box alone."""
    known = solution.row_duals is not None and solution.row_duals.shape == (program.rows,)
    duals = usable_duals(program, solution.row_duals) if known else np.zeros(program.rows)
    return dual_params(compact, disjunct, signs, duals)


def decide_leaf(
    compact: CompactNetwork,
    disjunct: Sequence[int],
    signs: np.ndarray | None = None,
    seconds: float = math.inf,
    backend: Backend | None = None,
    evidence: bool = False,
) -> LeafResult:
    """The LP of the subproblem `signs` (int8 (U,), see `encode`); a second, elastic one when the first is empty. With
    `evidence` a proof comes as `params`, too."""
    solver, deadline = backend or default_backend(), time.monotonic() + seconds
    if not _finite(compact):
        return LeafResult(-math.inf, None, False, SolveStatus.FAILED)
    program = encode(compact, disjunct, signs)
    solution = _solve_lp(solver, program, seconds)
    bound = max(_interval_bound(compact, disjunct), safe_lower_bound(program, solution.row_duals))
    if solution.status is SolveStatus.INFEASIBLE and bound <= 0:
        elastic = encode(compact, disjunct, signs, elastic=True)
        answer = _solve_lp(solver, elastic, deadline - time.monotonic())
        proof = safe_lower_bound(elastic, answer.row_duals)
        if not proof > 0:
            return LeafResult(bound, None, False, answer.status)
        params = _proof(compact, disjunct, signs, elastic, answer) if evidence else None
        return LeafResult(max(bound, proof), None, False, answer.status, params)
    solved = solution.status is SolveStatus.OPTIMAL
    exact = solved and _all_fixed(compact, signs)
    params = _proof(compact, disjunct, signs, program, solution) if evidence and bound > 0 else None
    return LeafResult(bound, _candidate(compact, solution.x) if solved else None, exact, solution.status, params)


def decide_milp(
    compact: CompactNetwork,
    disjunct: Sequence[int],
    signs: np.ndarray | None = None,
    seconds: float = math.inf,
    threads: int = 1,
    backend: Backend | None = None,
    cancelled: Callable[[], bool] = never,
) -> LeafResult:
    """The mixed-integer program with a binary for every open ReLU; stops as soon as the sign is known."""
    solver, deadline = backend or default_backend(), time.monotonic() + seconds
    if not _finite(compact):
        return LeafResult(-math.inf, None, False, SolveStatus.FAILED)
    relu = is_relu(compact)
    program = encode(compact, disjunct, signs, integers=relu)
    if not program.integer.any():
        return decide_leaf(compact, disjunct, signs, seconds, solver)
    margin = milp_margin(program)
    # A point far below the border survives its replay in float32; one that is nearer may not, so the search goes on.
    answer = _solve_milp(solver, program, seconds, threads, 2 * margin, -100 * margin, cancelled)
    lowest = _interval_bound(compact, disjunct)
    exact = answer.status is SolveStatus.OPTIMAL and bool(relu.all())
    if answer.status is SolveStatus.INFEASIBLE:
        elastic = encode(compact, disjunct, signs, integers=relu, elastic=True)
        margin = milp_margin(elastic)
        answer = _solve_milp(solver, elastic, deadline - time.monotonic(), threads, 2 * margin, -math.inf, cancelled)
        exact = False
    if margin < answer.dual_bound < math.inf and answer.status in _COUNTS:
        return LeafResult(max(lowest, answer.dual_bound - margin), None, exact, answer.status)
    return LeafResult(lowest, _candidate(compact, answer.x), exact, answer.status)
