from itertools import pairwise

import pytest

from training.schedules import beta, eps, kappa, ramp, rate
from training.settings import settings_for


@pytest.mark.parametrize("shape", ["linear", "smoothed"])
def test_ramps_grow_from_0_to_1(shape):
    values = [ramp(k / 1000, 0.2, 0.7, shape) for k in range(1001)]
    assert values[200] == 0 and values[700] == 1 == values[-1] and values == sorted(values)
    steps = [b - a for a, b in pairwise(values)]
    assert max(steps) < 0.004  # no jump


def test_the_smoothed_ramp_has_no_kink():
    """s^4 up to a quarter, then a line: at s = 1/4 the value is 1/13, by hand, and both slopes are 16/13."""
    assert ramp(0.25, 0, 1) == pytest.approx(1 / 13)
    for side in (-1e-6, 1e-6):
        assert (ramp(0.25 + side, 0, 1) - ramp(0.25, 0, 1)) / side == pytest.approx(16 / 13, rel=1e-4)


def test_a_ramp_without_length_is_a_step():
    assert ramp(0.0, 0.0, 0.0) == 1 and ramp(0.49, 0.5, 0.5) == 0 and ramp(0.5, 0.5, 0.5) == 1


def test_what_follows_the_ramp():
    settings = settings_for("crown-ibp", eps=0.3, ramp=(0.0, 0.5), ramp_shape="linear", kappa=(1.0, 0.5))
    assert eps(settings, 0.25) == pytest.approx(0.15) and eps(settings, 0.9) == 0.3
    assert kappa(settings, 0.25) == pytest.approx(0.75) and kappa(settings, 1.0) == 0.5
    assert beta(settings, 0.25) == pytest.approx(0.5) and beta(settings, 0.5) == 0


def test_learning_rates():
    drops = settings_for("standard", lr_drops=(0.5, 0.75), lr_factor=0.1)
    assert [rate(drops, t) for t in (0, 0.49, 0.5, 0.8)] == pytest.approx([1, 1, 0.1, 0.01])
    cosine = settings_for("standard", lr_schedule="cosine")
    assert [rate(cosine, t) for t in (0, 0.5, 1)] == pytest.approx([1, 0.5, 0])
