"""A linear or mixed-integer program, free of any solver, and what a solver answers.

    minimise cost . x   subject to   row_lower <= A x <= row_upper,  col_lower <= x <= col_upper,  x_j integer (some j)

A is kept by rows (CSR arrays). One-sided rows have an infinite other side; columns are always finite, which is what
makes every vector of row duals a proof (see `verify.lp.safe`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property

import numpy as np
from scipy import sparse

from verify.errors import BrokenInvariant


@dataclass(frozen=True, eq=False)
class LinearProgram:
    """`cost`, `col_lower`, `col_upper`, `integer` (n,); `row_lower`, `row_upper` (m,); CSR arrays of A (m, n).

    Everything float64 except `starts`, `indices` (int32) and `integer` (bool).
    """

    cost: np.ndarray
    starts: np.ndarray
    indices: np.ndarray
    values: np.ndarray
    row_lower: np.ndarray
    row_upper: np.ndarray
    col_lower: np.ndarray
    col_upper: np.ndarray
    integer: np.ndarray

    def __post_init__(self) -> None:
        finite = (self.cost, self.values, self.col_lower, self.col_upper)
        if not all(np.isfinite(array).all() for array in finite):
            raise BrokenInvariant("a linear program needs finite costs, coefficients and column bounds")
        if np.isnan(self.row_lower).any() or np.isnan(self.row_upper).any():
            raise BrokenInvariant("a linear program has a row limit that is not a number")

    @classmethod
    def from_matrix(cls, cost, matrix, row_lower, row_upper, col_lower, col_upper, integer=None) -> LinearProgram:
        """From any scipy sparse or dense `matrix` (m, n); `integer` defaults to no integer column."""
        a = sparse.csr_matrix(matrix, dtype=np.float64)
        a.sum_duplicates()
        columns = np.zeros(a.shape[1], dtype=bool) if integer is None else np.asarray(integer, dtype=bool)
        floats = (np.asarray(v, dtype=np.float64) for v in (row_lower, row_upper, col_lower, col_upper))
        return cls(
            np.asarray(cost, dtype=np.float64), a.indptr.astype(np.int32), a.indices.astype(np.int32), a.data,
            *floats, columns,
        )

    @property
    def rows(self) -> int:
        return self.row_lower.size

    @property
    def columns(self) -> int:
        return self.cost.size

    @cached_property
    def matrix(self) -> sparse.csr_matrix:
        """A as a scipy matrix (m, n)."""
        return sparse.csr_matrix((self.values, self.indices, self.starts), shape=(self.rows, self.columns))


class SolveStatus(Enum):
    """How a solver ended. None of these is a proof; only `safe_lower_bound` and the MILP margin are."""

    OPTIMAL = "optimal"
    INFEASIBLE = "infeasible"
    STOPPED = "stopped early, as asked"
    TIME = "time limit"
    FAILED = "failed"


@dataclass(frozen=True, eq=False)
class LpSolution:
    """Primal point `x` (n,), `row_duals` (m,) (positive: lower side active) and `value`; None / NaN without one."""

    status: SolveStatus
    x: np.ndarray | None = None
    row_duals: np.ndarray | None = None
    value: float = float("nan")


@dataclass(frozen=True, eq=False)
class MilpSolution:
    """`dual_bound`: the solver's claim that no integer point is below it (-inf without one); `x`: best point found."""

    status: SolveStatus
    dual_bound: float = float("-inf")
    x: np.ndarray | None = None
    value: float = float("nan")
    nodes: int = 0
