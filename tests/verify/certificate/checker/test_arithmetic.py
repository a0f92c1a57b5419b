"""Exact numbers against fractions, and the constants of rounded ones."""

import math
from fractions import Fraction

import numpy as np
import pytest

from tests.verify.certificate.checker.laws import exact
from verify.certificate.checker.arithmetic import ARITHMETICS, TINY, UNIT, Dyadic, Exact, Float64, enlarged
from verify.certificate.checker.errors import Rejected

NUMBERS = [0.0, 1.0, -1.0, 0.1, -3.5, 2.0**-1074, -(2.0**-1022), 1.7e308, -(2.0**52) - 1, 1 / 3]


@pytest.mark.parametrize("a", NUMBERS)
@pytest.mark.parametrize("b", NUMBERS)
def test_dyadic_numbers_are_fractions(a, b):
    x, y, p, q = Dyadic.of(a), Dyadic.of(b), Fraction(a), Fraction(b)
    assert [exact(v) for v in (x + y, x - y, x * y, -x, abs(x), x + b, a + y, a - y, x * b)] == \
        [p + q, p - q, p * q, -p, abs(p), p + q, p + q, p - q, p * q]
    assert [x < y, x <= y, x > y, x >= y, x == y, x > b, y > 0] == [p < q, p <= q, p > q, p >= q, p == q, p > q, q > 0]


def test_dyadic_numbers_round_outward_and_by_less_than_one_unit():
    rng = np.random.default_rng(0)
    for _ in range(200):
        mantissa, exponent = int(rng.integers(-(2**62), 2**62)) ** 3, int(rng.integers(-1250, 500))
        value, true = Dyadic(mantissa, exponent), Fraction(mantissa) * Fraction(2) ** exponent
        low, high = value.toward(-math.inf), value.toward(math.inf)
        assert Fraction(low) <= true <= Fraction(high) and high in (low, math.nextafter(low, math.inf))


def test_what_float64_cannot_hold():
    with pytest.raises(Rejected, match="too large"):
        Dyadic(1, 1024).toward(math.inf)
    for bad in (math.nan, math.inf):
        with pytest.raises(Rejected, match="not finite"):
            Exact.lift(np.array([0.0, bad]))
    assert Dyadic(-1, -2000).toward(-math.inf) == -(2.0**-1074) and Dyadic(-1, -2000).toward(math.inf) == 0.0


def test_exact_arrays_keep_shape_and_mix_with_integers():
    values = Exact.lift(np.array([[1.5, -2.0], [0.25, 0.0]]))
    assert values.shape == (2, 2) and values.dtype == object and Exact.lift(values) is values
    mixed = np.array([[0, Dyadic(3, -1)]], dtype=object) @ values
    assert [exact(v) for v in mixed[0]] == [Fraction(3, 8), 0]
    assert np.array_equal(Exact.below(mixed), [[0.375, 0.0]]) and Exact.above(np.zeros((0, 3))).shape == (0, 3)


def test_gamma_bounds_the_error_of_sums_in_any_order():
    rng = np.random.default_rng(1)
    for terms in (1, 2, 30, 1000):
        a, b = rng.standard_normal(terms), rng.standard_normal(terms) * 2.0 ** rng.integers(-30, 30, terms)
        true = sum((Fraction(p) * Fraction(q) for p, q in zip(a.tolist(), b.tolist(), strict=True)), Fraction(0))
        size = float(np.abs(a) @ np.abs(b))
        for order in (np.arange(terms), np.argsort(a * b), rng.permutation(terms)):
            total = 0.0
            for k in order:
                total += a[k] * b[k]
            assert abs(Fraction(total) - true) <= Fraction(Float64.gamma(terms) * size)
    assert Float64.gamma(100) >= 108 * UNIT and Exact.gamma(100) == 0.0
    assert {name: a.exact for name, a in ARITHMETICS.items()} == {"float64": False, "dyadic": True}


def test_enlarged_errors_cover_their_own_rounding():
    error = np.array([0.0, 1.0, 1e300])
    assert (enlarged(error) >= error * (1 + 2.0**-31)).all() and enlarged(error)[0] == TINY
