"""The program value itself: its checks and its matrix."""

import numpy as np
import pytest

from verify.errors import BrokenInvariant
from verify.lp.model import LinearProgram


def test_matrix_round_trip():
    a = np.array([[1.0, 0.0, 2.0], [0.0, -3.0, 0.0]])
    program = LinearProgram.from_matrix(np.ones(3), a, [-np.inf, 0], [1, np.inf], np.zeros(3), np.ones(3))
    assert (program.rows, program.columns) == (2, 3)
    assert (program.matrix.toarray() == a).all()
    assert not program.integer.any()


@pytest.mark.parametrize(
    ("cost", "row_lower", "col_upper"),
    [([np.nan], [0.0], [1.0]), ([1.0], [np.nan], [1.0]), ([1.0], [0.0], [np.inf])],
)
def test_numbers_that_prove_nothing_are_refused(cost, row_lower, col_upper):
    with pytest.raises(BrokenInvariant):
        LinearProgram.from_matrix(cost, [[1.0]], row_lower, [1.0], [0.0], col_upper)
