"""Against values computed by hand, published ones, and scipy's own implementations."""

import math

import pytest
from scipy import stats

from training.statistics import mcnemar, mean_interval, par2, wilson
from verify.errors import InvalidInput


def test_wilson_against_a_published_value():
    # Newcombe 1998, table I: 81 of 263, method 3: 0.2553 to 0.3662; 0 of 20: 0 to 0.1611; 1 of 29: 0.0061 to 0.1718.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0, 0.1611), abs=5e-5)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (3, 7), (50, 100), (199, 200)])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_wilson_against_scipy(k, n, confidence):
    other = stats.binomtest(k, n).proportion_ci(confidence, method="wilson")
    assert wilson(k, n, confidence) == pytest.approx((other.low, other.high), abs=1e-12)


def test_nothing_measured_says_nothing():
    assert wilson(0, 0) == (0.0, 1.0)
    assert mcnemar(0, 0) == 1.0
    assert math.isnan(par2([], [], 1.0))


def test_mcnemar_by_hand_and_against_scipy():
    assert mcnemar(0, 5) == pytest.approx(2 / 2**5)
    assert mcnemar(1, 3) == pytest.approx(2 * (1 + 4) / 2**4)
    for wins, losses in ((0, 1), (7, 7), (10, 25), (40, 3)):
        assert mcnemar(wins, losses) == pytest.approx(stats.binomtest(wins, wins + losses, 0.5).pvalue)
        assert mcnemar(wins, losses) == mcnemar(losses, wins)


def test_mean_over_seeds():
    found = mean_interval([1.0, 2.0, 3.0])
    # t(0.975, 2) = 4.302653, deviation 1
    assert (found.value, found.deviation, found.n) == (2.0, 1.0, 3)
    assert found.high - 2 == pytest.approx(4.302653 / math.sqrt(3), abs=1e-6)
    other = stats.t.interval(0.9, 3, loc=2.5, scale=stats.sem([1, 2, 3, 4]))
    found = mean_interval([1, 2, 3, 4], 0.9)
    assert (found.low, found.high) == pytest.approx(other)
    single = mean_interval([0.4])
    assert single.value == 0.4 and single.low == -math.inf and math.isnan(single.deviation)


def test_par2_counts_the_unsolved_twice():
    assert par2([1.0, 5.0, 3.0], [True, False, True], 5.0) == pytest.approx((1 + 10 + 3) / 3)


@pytest.mark.parametrize("wrong", [lambda: wilson(3, 2), lambda: wilson(-1, 2), lambda: wilson(1, 2, 1.0),
                                   lambda: mcnemar(-1, 2), lambda: mean_interval([])])
def test_impossible_counts_are_refused(wrong):
    with pytest.raises(InvalidInput):
        wrong()
