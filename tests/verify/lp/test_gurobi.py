"""Gurobi, where it is installed (its free licence is enough for these sizes)."""

import numpy as np
import pytest

from tests.verify.lp.networks import random_compact
from verify.lp.backend import free_backend
from verify.lp.encode import encode
from verify.lp.safe import safe_lower_bound

gurobi = pytest.importorskip("verify.lp.gurobi", reason="gurobipy is not installed", exc_type=ImportError)


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_highs(seed):
    program = encode(random_compact(seed), [0, 1], integers=np.ones(6, dtype=bool))
    lp, milp = gurobi.solve_lp(program, 10.0), gurobi.solve_milp(program, 10.0)
    assert lp.value == pytest.approx(free_backend().lp(program, 10.0).value, abs=1e-6)
    assert milp.value == pytest.approx(free_backend().milp(program, 10.0).value, abs=1e-6)
    assert safe_lower_bound(program, lp.row_duals) == pytest.approx(lp.value, abs=1e-5)
