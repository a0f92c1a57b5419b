"""Equilibrated programs: exact, the same optimum, and no coefficient that a solver would drop."""

import numpy as np
import pytest

from verify.lp import safe_lower_bound
from verify.lp.backend import free_backend
from verify.lp.model import LinearProgram
from verify.lp.scaling import equilibrate


def tiny_middle(k: int) -> LinearProgram:
    """min t with y = 2^-k x, x in [1, 2], t >= 2^k y - 3: the optimum is -2 for every k."""
    small, large = 2.0**-k, 2.0**k
    matrix = np.array([[-small, 1.0, 0.0], [0.0, large, -1.0]])
    return LinearProgram.from_matrix(
        [0, 0, 1], matrix, [0, -np.inf], [0, 3.0], [1, -2 * small, -10], [2, 2 * small, 10], [False, False, False])


@pytest.mark.parametrize("k", [0, 20, 40, 60])
def test_the_optimum_does_not_depend_on_the_units(k):
    lp = tiny_middle(k)
    scaled = equilibrate(lp)
    answer = free_backend().lp(scaled.program, 10.0)
    x = scaled.point(answer.x)
    assert x @ lp.cost == pytest.approx(-2.0)
    assert x[1] == pytest.approx(2.0**-k)
    assert -2.0 - 1e-6 < safe_lower_bound(lp, scaled.duals(answer.row_duals)) <= -2.0


def test_every_number_is_the_old_one_times_a_power_of_two():
    lp = tiny_middle(50)
    scaled = equilibrate(lp)
    dense = scaled.rows[:, None] * lp.matrix.toarray() * scaled.columns
    assert (dense == scaled.program.matrix.toarray()).all()
    assert set(np.frexp(np.concatenate([scaled.rows, scaled.columns]))[0]) == {0.5}
    assert 0.25 <= np.abs(scaled.program.values).max() <= 1.0 and np.abs(scaled.program.values).min() > 1e-2
    assert scaled.columns[2] == 1.0  # the objective keeps its unit


def test_empty_rows_zero_columns_and_integers_keep_their_units():
    lp = LinearProgram.from_matrix([1, 0, 0], [[0, 0, 0], [0, 0, 1e30]], [-1, 0], [1, 1], [0, 0, 0], [1, 0, 1],
                                   [False, False, True])
    scaled = equilibrate(lp)
    assert scaled.columns.tolist() == [1.0, 1.0, 1.0] and scaled.rows[0] == 1.0
    assert scaled.program.matrix.toarray()[1, 2] <= 1.0
    assert scaled.duals(None) is None and scaled.point(None) is None and scaled.duals(np.ones(5)) is None
