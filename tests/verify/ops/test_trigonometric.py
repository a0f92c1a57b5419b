"""Waves and their inverses: extrema inside an interval, poles, and what is left of precision far away."""

from __future__ import annotations

import math

import pytest
import torch

from verify.ops import Acos, Asin, Atan, Cos, Sin, Tan
from verify.ops.trigonometric import ABOVE_QUARTER, phase_error
from verify.sets import Interval

INF = float("inf")


def interval(low: float, high: float, dtype=torch.float64) -> Interval:
    return Interval(torch.tensor([[low]], dtype=dtype), torch.tensor([[high]], dtype=dtype))


@pytest.mark.parametrize("op, low, high, low_y, high_y", [
    (Sin(), 0.0, 1.0, 0.0, math.sin(1)), (Sin(), 1.0, 2.0, math.sin(1), 1.0), (Sin(), 4.0, 5.0, -1.0, math.sin(4)),
    (Sin(), 0.0, 10.0, -1.0, 1.0), (Cos(), 0.5, 1.0, math.cos(1), math.cos(0.5)), (Cos(), -1.0, 0.5, math.cos(1), 1.0),
    (Cos(), 3.0, 4.0, -1.0, math.cos(4)),
])
def test_extrema_inside(op, low, high, low_y, high_y):
    bounds = op.interval(interval(low, high))
    assert bounds.lower.item() == pytest.approx(low_y, abs=1e-14) and bounds.lower.item() <= low_y
    assert bounds.upper.item() == pytest.approx(high_y, abs=1e-14) and bounds.upper.item() >= high_y


@pytest.mark.parametrize("op", [Sin(), Cos()])
def test_far_away_everything_is_possible(op):
    assert phase_error(interval(1e15, 1e15)).item() == INF
    for pre in (interval(1e15, 1e15), interval(1e6, 1e6, torch.float32)):
        bounds = op.interval(pre)
        assert (bounds.lower.item(), bounds.upper.item()) == (-1, 1)


@pytest.mark.parametrize("k", [-40, -1, 0, 1, 1000])
def test_tan_is_defined_between_its_poles(k):
    center = k * math.pi
    op = Tan()
    assert op.defined(interval(center - 1.57, center + 1.57)).all()
    for low, high in ((center, center + 1.6), (center - 1.6, center), (center + 1, center + 4), (center, center + 7)):
        assert not op.defined(interval(low, high)).any()
        assert op.interval(interval(low, high)).upper.item() == INF


def test_quarter_turn_from_above():
    assert torch.tensor(ABOVE_QUARTER, dtype=torch.float32).item() > math.pi / 2 and math.pi / 2 < ABOVE_QUARTER
    assert Atan().interval(interval(-1e300, 1e300)).upper.item() >= math.pi / 2


@pytest.mark.parametrize("op", [Asin(), Acos()])
def test_the_ends_of_the_domain_belong_to_it(op):
    bounds = op.interval(interval(-1.0, 1.0))
    assert bounds.width.item() == pytest.approx(math.pi, abs=1e-14)
    assert op.slopes(interval(-1.0, 0.0)).magnitude.item() == INF
    assert not op.defined(interval(-1.0, 1.0000001)).any()
