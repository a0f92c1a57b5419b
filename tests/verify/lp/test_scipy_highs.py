"""scipy's HiGHS: the duals of two-sided rows are put together again."""

import pytest

from verify.lp.model import LinearProgram, SolveStatus
from verify.lp.safe import safe_lower_bound
from verify.lp.scipy_highs import solve_lp, solve_milp


def test_duals_of_two_sided_rows():
    # minimise x - y with 2 <= x <= 5 and 1 <= y <= 4 as rows: duals +1 (lower side) and -1 (upper side), value -2.
    program = LinearProgram.from_matrix([1.0, -1.0], [[1.0, 0.0], [0.0, 1.0]], [2, 1], [5, 4], [-9, -9], [9, 9])
    answer = solve_lp(program, 5.0)
    assert answer.row_duals == pytest.approx([1.0, -1.0]) and answer.value == pytest.approx(-2.0)
    assert safe_lower_bound(program, answer.row_duals) == pytest.approx(-2.0)


def test_integers_are_respected():
    program = LinearProgram.from_matrix([1.0], [[2.0]], [1.0], [9.0], [0.0], [9.0], [True])
    answer = solve_milp(program, 5.0)
    assert answer.status is SolveStatus.OPTIMAL and answer.value == pytest.approx(1.0)
    assert solve_lp(program, 5.0).value == pytest.approx(0.5)
