"""HiGHS through highspy: early stops, thread counts, time, a sick program."""

import numpy as np
import pytest

from tests.verify.lp.networks import hard_program
from verify.lp.model import LinearProgram, SolveStatus

highs = pytest.importorskip("verify.lp.highs", reason="highspy is not installed", exc_type=ImportError)


def test_stops_early_and_changes_threads():
    program = hard_program()
    stopped = highs.solve_milp(program, 60.0, 2, np.inf, -100.0)
    assert stopped.status is SolveStatus.STOPPED and stopped.value < -100.0
    above = highs.solve_milp(program, 60.0, 1, stopped.dual_bound - 1e4, -np.inf)
    assert above.status is SolveStatus.STOPPED and above.dual_bound > stopped.dual_bound - 1e4


def test_no_time_at_all_is_no_answer():
    assert highs.solve_milp(hard_program(), 0.0).status is SolveStatus.TIME


def test_duals_have_the_sign_of_their_side():
    # minimise x with x >= 2 as a row: the lower side is active, its dual is +1.
    program = LinearProgram.from_matrix([1.0], [[1.0]], [2.0], [5.0], [0.0], [9.0])
    answer = highs.solve_lp(program, 5.0)
    assert answer.row_duals == pytest.approx([1.0]) and answer.value == pytest.approx(2.0)


def test_programs_it_refuses_are_failures():
    program = LinearProgram.from_matrix([1.0], [[1e300]], [0.0], [1.0], [0.0], [1.0], [True])
    assert highs.solve_lp(program, 5.0).status in (SolveStatus.FAILED, SolveStatus.OPTIMAL)
    crossed = LinearProgram.from_matrix([1.0], [[1.0]], [0.0], [1.0], [1.0], [0.0])
    assert highs.solve_lp(crossed, 5.0).status in (SolveStatus.INFEASIBLE, SolveStatus.FAILED)


def test_nothing_is_written_to_standard_output(capfd):
    """The verdict comes first there; the solver writes below Python."""
    highs.solve_lp(LinearProgram.from_matrix([1.0], [[1.0]], [2.0], [5.0], [0.0], [9.0]), 5.0)
    highs.solve_milp(hard_program(), 0.0)
    assert capfd.readouterr().out == ""
