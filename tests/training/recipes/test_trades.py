import pytest

from tests.training.recipes.laws import check_laws, value


def test_laws():
    check_laws("trades", passes=2)


def test_beta_weighs_the_divergence():
    clean, one, two = (value("trades", trades_beta=beta) for beta in (0.0, 1.0, 2.0))
    assert clean == pytest.approx(value("standard"), abs=1e-6)
    assert one > clean and two - clean == pytest.approx(2 * (one - clean), rel=1e-4)
