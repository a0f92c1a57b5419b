"""Equilibrated programs: the same program in units in which a solver's absolute tolerances are harmless.

Solvers drop coefficients below about 1e-9 and accept rows that are violated by about as much. In a network whose first
layer is scaled by 2^-40 and whose second one by 2^40 that deletes the first layer, and the "dual bound" of what is left
is no bound at all. So every continuous column is measured in units of its largest value and every row of its largest
term, x = C x', R A C x' between R row_lower and R row_upper; the factors are powers of two, which rounds nothing.
Columns with a cost and integer columns keep their units, hence so does the objective.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from verify.lp.model import LinearProgram

LARGEST_EXPONENT = 400
"""Factors stay within 2 ** +-400: far from overflow and underflow, also after two of them have met."""


@dataclass(frozen=True, eq=False)
class Scaled:
    """`program` in units of its own; `columns` (n,) and `rows` (m,) are the diagonals of C and R."""

    program: LinearProgram
    columns: np.ndarray
    rows: np.ndarray

    def point(self, x: np.ndarray | None) -> np.ndarray | None:
        """A point of `program` in the original units."""
        return None if x is None else self.columns * x

    def duals(self, y: np.ndarray | None) -> np.ndarray | None:
        """Row duals of `program` as row duals of the original."""
        return None if y is None or y.shape != self.rows.shape else self.rows * y


def _power_of_two(size: np.ndarray) -> np.ndarray:
    """The power of two next above each size; 1 for 0."""
    exponent = np.frexp(size)[1]
    return np.ldexp(1.0, np.where(size > 0, np.clip(exponent, -LARGEST_EXPONENT, LARGEST_EXPONENT), 0))


def equilibrate(lp: LinearProgram) -> Scaled:
    """The program of the module docstring."""
    reach = np.maximum(np.abs(lp.col_lower), np.abs(lp.col_upper))
    columns = np.where((lp.cost != 0) | lp.integer, 1.0, _power_of_two(reach))
    values = lp.values * columns[lp.indices]
    largest = np.zeros(lp.rows)
    np.maximum.at(largest, np.repeat(np.arange(lp.rows), np.diff(lp.starts)), np.abs(values))
    rows = 1.0 / _power_of_two(largest)
    program = replace(
        lp, values=values * np.repeat(rows, np.diff(lp.starts)), row_lower=lp.row_lower * rows,
        row_upper=lp.row_upper * rows, col_lower=lp.col_lower / columns, col_upper=lp.col_upper / columns,
        cost=lp.cost * columns,
    )
    return Scaled(program, columns, rows)
