"""Rows and boxes in float64 against the exact ones."""

from fractions import Fraction

import numpy as np
import pytest

from verify.certificate.checker.errors import Rejected
from verify.certificate.checker.rows import float_rows, is_empty, outer_box, unique_rows
from verify.certificate.checker.spec import Case, Row

THIRD, TENTH = Fraction(1, 3), Fraction("0.1")
FIRST = Row(((0, THIRD), (2, Fraction(-1))), ((1, TENTH),), Fraction(2))
SECOND = Row(((1, Fraction(1)),), (), -THIRD)


def test_rows_are_within_their_errors():
    rows = float_rows([FIRST, SECOND], 2, 3)
    wanted = {"y": [[THIRD, 0, -1], [0, 1, 0]], "x": [[0, TENTH], [0, 0]], "constant": [2, -THIRD]}
    for name, exact in wanted.items():
        values, errors = getattr(rows, name).ravel(), getattr(rows, f"{name}_error").ravel()
        for value, error, true in zip(values, errors, np.ravel(np.array(exact, dtype=object)), strict=True):
            assert abs(Fraction(value) - true) <= Fraction(error)
            assert (error == 0) == (Fraction(float(true)) == true) and error <= 2.0**-52


def test_a_variable_that_occurs_twice_counts_twice():
    rows = float_rows([Row(((0, THIRD), (0, THIRD)), (), Fraction(0))], 1, 1)
    assert abs(Fraction(rows.y[0, 0]) - 2 * THIRD) <= Fraction(rows.y_error[0, 0])


def test_no_rows():
    with pytest.raises(Rejected, match="no output condition"):
        float_rows([], 2, 3)


def test_distinct_rows_are_numbered_in_order():
    case = Case((Fraction(0),), (Fraction(1),), ((SECOND, FIRST), (FIRST,), ()))
    assert unique_rows(case) == ([SECOND, FIRST], [[0, 1], [1], []])


def test_boxes_are_rounded_outward_and_emptiness_is_decided_exactly():
    case = Case((TENTH, -THIRD), (TENTH, THIRD), ())
    low, high = outer_box(case)
    for a, b, c, d in zip(low, case.lower, case.upper, high, strict=True):
        assert Fraction(a) < b <= c < Fraction(d)
    assert not is_empty(case)
    # Rounded outward the limits overlap; the box is empty all the same.
    assert is_empty(Case((TENTH + Fraction(1, 10**30),), (TENTH,), ()))
