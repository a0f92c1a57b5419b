"""The rows and the box of a case as float64 numbers, with their distance to the exact ones."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from verify.certificate.checker.collapse import FloatRows
from verify.certificate.checker.errors import Rejected
from verify.certificate.checker.spec import Case, Row, enclose


def float_rows(rows: Sequence[Row], inputs: int, outputs: int) -> FloatRows:
    """Exact rows as float64 numbers with the distance to the exact ones. Raises `Rejected` if there are none."""
    if not rows:
        raise Rejected("the property has no output condition: every input of the box is in the unsafe set")
    values = {"y": np.zeros((len(rows), outputs)), "x": np.zeros((len(rows), inputs))}
    errors = {name: np.zeros_like(array) for name, array in values.items()}
    constant, constant_error = np.zeros(len(rows)), np.zeros(len(rows))
    for r, row in enumerate(rows):
        for name, terms in (("y", row.y), ("x", row.x)):
            total: dict[int, Fraction] = {}
            for k, c in terms:
                total[k] = total.get(k, Fraction(0)) + c
            for k, c in total.items():
                values[name][r, k], errors[name][r, k] = _nearby(c)
        constant[r], constant_error[r] = _nearby(row.constant)
    return FloatRows(values["y"], values["x"], constant, errors["y"], errors["x"], constant_error)


def _nearby(value: Fraction) -> tuple[float, float]:
    """A float64 number and how far it is from the exact one, at most."""
    below, above = enclose(value)
    return below, 0.0 if below == above else (above - below) * 1.0000001


def unique_rows(case: Case) -> tuple[list[Row], list[list[int]]]:
    """The distinct rows of a case in order, and per disjunct the indices of its rows."""
    index: dict[Row, int] = {}
    members = [[index.setdefault(row, len(index)) for row in disjunct] for disjunct in case.disjuncts]
    return list(index), members


def outer_box(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """The box of a case rounded outward: two arrays (I,) float64."""
    return (np.array([enclose(v)[0] for v in case.lower]), np.array([enclose(v)[1] for v in case.upper]))


def is_empty(case: Case) -> bool:
    return any(low > high for low, high in zip(case.lower, case.upper, strict=True))
