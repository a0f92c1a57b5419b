import pytest

from tests.training.recipes.laws import check_laws, value


def test_laws():
    check_laws("ibp")


def test_it_is_above_every_attack():
    assert value("pgd-at", steps=20) <= value("ibp", kappa=(0.0, 0.0))


def test_kappa_mixes():
    ends = [value("ibp", kappa=(0.0, kappa)) for kappa in (0.0, 0.25, 1.0)]
    assert ends[2] == pytest.approx(value("standard"), abs=1e-5)
    assert ends[1] == pytest.approx(0.75 * ends[0] + 0.25 * ends[2], rel=1e-5)
