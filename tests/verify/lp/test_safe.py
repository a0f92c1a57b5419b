"""Safe bounds: no multipliers, however wrong, give more than the true optimum."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.verify.lp.networks import random_compact, true_minimum
from verify.lp.backend import free_backend
from verify.lp.encode import encode
from verify.lp.model import LinearProgram
from verify.lp.safe import milp_margin, safe_lower_bound


def test_optimal_duals_give_the_optimum():
    for seed in range(20):
        program = encode(random_compact(seed), [0, 1])
        answer = free_backend().lp(program, 10.0)
        bound = safe_lower_bound(program, answer.row_duals)
        assert bound <= answer.value + 1e-9
        assert bound == pytest.approx(answer.value, abs=1e-5)


@pytest.mark.parametrize("seed", range(10))
def test_lying_solvers_prove_nothing_false(seed):
    rng = np.random.default_rng(seed)
    compact = random_compact(seed)
    program = encode(compact, [0, 1])
    answer = free_backend().lp(program, 10.0)
    truth = true_minimum(compact, [0, 1])
    lies = [
        -answer.row_duals, 1e3 * answer.row_duals, answer.row_duals + 0.1 * rng.standard_normal(program.rows),
        rng.standard_normal(program.rows), 1e200 * rng.standard_normal(program.rows),
        np.full(program.rows, np.nan), np.full(program.rows, np.inf),
        np.where(rng.random(program.rows) < 0.3, np.nan, answer.row_duals),
    ]
    for duals in lies:
        assert safe_lower_bound(program, duals) <= truth + 1e-9
    assert safe_lower_bound(program, None) == -np.inf
    assert safe_lower_bound(program, answer.row_duals[:-1]) == -np.inf


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_bound_is_below_the_exact_dual_value(seed):
    """The rounding charge, against the same formula in rationals."""
    rng = np.random.default_rng(seed)
    m, n = int(rng.integers(1, 6)), int(rng.integers(1, 6))
    scale = 10.0 ** rng.integers(-8, 8, (m, n))
    middle, width = rng.standard_normal(n) * 10.0 ** rng.integers(-4, 5, n), rng.random(n)
    low = rng.standard_normal(m)
    program = LinearProgram.from_matrix(
        rng.standard_normal(n), rng.standard_normal((m, n)) * scale, np.where(rng.random(m) < 0.3, -np.inf, low),
        np.where(rng.random(m) < 0.3, np.inf, low + rng.random(m)), middle - width, middle + width,
    )
    y = rng.standard_normal(m) * 10.0 ** rng.integers(-4, 5, m)
    y = np.where((y > 0) & np.isinf(program.row_lower) | (y < 0) & np.isinf(program.row_upper), 0.0, y)
    exact, a = Fraction(0), program.matrix.toarray()
    for i in np.flatnonzero(y):
        exact += Fraction(y[i]) * Fraction(program.row_lower[i] if y[i] > 0 else program.row_upper[i])
    for j in range(n):
        d = Fraction(program.cost[j]) - sum((Fraction(a[i, j]) * Fraction(y[i]) for i in range(m)), Fraction(0))
        exact += min(d * Fraction(program.col_lower[j]), d * Fraction(program.col_upper[j]))
    bound = safe_lower_bound(program, y)
    assert Fraction(bound) <= exact
    assert bound == pytest.approx(float(exact), rel=1e-6, abs=1e-6 * float(np.abs(a).T.max() * np.abs(y).max() * 1e4))


def test_margin_grows_with_the_coefficients():
    small = LinearProgram.from_matrix([1.0], [[1.0]], [-1.0], [1.0], [-1.0], [1.0], [True])
    large = LinearProgram.from_matrix([1.0], [[1e4]], [-1.0], [1.0], [-1.0], [1.0], [True])
    assert milp_margin(small) >= 100 * 1e-9
    assert milp_margin(large) > 1e3 * milp_margin(small)
