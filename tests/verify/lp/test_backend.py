"""All installed solvers give the same answers, end as asked, and keep their time."""

import numpy as np
import pytest

from tests.verify.lp.networks import hard_program, random_compact, true_minimum
from verify.lp.backend import available, default_backend, free_backend, load
from verify.lp.encode import encode
from verify.lp.model import LinearProgram, SolveStatus
from verify.lp.safe import safe_lower_bound

ALL = np.ones(6, dtype=bool)
SOLVERS = [name for name in ("highspy", "scipy") if name in available()]


def test_there_is_always_a_solver():
    assert "scipy" in available()
    assert free_backend().name in ("highspy", "scipy")
    assert default_backend().name == available()[0]


@pytest.mark.parametrize("name", SOLVERS)
def test_lp_and_milp_values(name):
    backend = load(name)
    for seed in range(8):
        compact = random_compact(seed)
        program = encode(compact, [0, 1], integers=ALL)
        lp, milp = backend.lp(program, 10.0), backend.milp(program, 10.0)
        truth = true_minimum(compact, [0, 1])
        assert lp.status is SolveStatus.OPTIMAL and milp.status is SolveStatus.OPTIMAL
        assert lp.value <= truth + 1e-7
        assert safe_lower_bound(program, lp.row_duals) == pytest.approx(lp.value, abs=1e-5)
        assert milp.value == pytest.approx(truth, abs=1e-5)
        assert milp.dual_bound <= truth + 1e-6


@pytest.mark.parametrize("name", SOLVERS)
def test_infeasible_programs(name):
    program = LinearProgram.from_matrix([1.0], [[1.0]], [2.0], [3.0], [0.0], [1.0], [True])
    assert load(name).lp(program, 5.0).status is SolveStatus.INFEASIBLE
    assert load(name).milp(program, 5.0).status is SolveStatus.INFEASIBLE


@pytest.mark.parametrize("name", SOLVERS)
def test_time_limit_ends_the_search(name):
    answer = load(name).milp(hard_program(), 0.5)
    assert answer.status is SolveStatus.TIME
    assert answer.dual_bound > -np.inf
