import pytest

from tests.training.recipes.laws import check_laws, value


def test_laws():
    check_laws("crown-ibp")


def test_it_is_above_every_attack():
    assert value("pgd-at", steps=20) <= value("crown-ibp", kappa=(0.0, 0.0))


def test_it_ends_as_ibp():
    assert value("crown-ibp") == pytest.approx(value("ibp"), rel=1e-5)


def test_on_the_way_it_is_tighter():
    half = {"progress": 0.5, "ramp": (0.0, 1.0), "kappa": (0.0, 0.0), "ramp_shape": "linear"}
    assert value("crown-ibp", **half) < value("ibp", **half)
