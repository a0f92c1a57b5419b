"""Powers by hand: shape of every kind of exponent, and where they are defined."""

from __future__ import annotations

import pytest
import torch

from verify.ops import Power, Reciprocal, Sqrt
from verify.sets import Interval

INF = float("inf")


def interval(low: float, high: float) -> Interval:
    return Interval(torch.tensor([[low]], dtype=torch.float64), torch.tensor([[high]], dtype=torch.float64))


@pytest.mark.parametrize("exponent, breaks, bends", [
    (0, (), (0,)), (1, (), (0,)), (2, (), (1,)), (2.0, (), (1,)), (3, (0.0,), (-1, 1)), (8, (), (1,)),
    (-1, (0.0,), (-1, 1)), (-2, (0.0,), (1, 1)), (-3, (0.0,), (-1, 1)),
    (0.5, (), (-1,)), (1.5, (), (1,)), (-0.5, (), (1,)),
])
def test_shapes(exponent, breaks, bends):
    assert Power(exponent).breaks == breaks and Power(exponent).bends == bends


@pytest.mark.parametrize("exponent, low, high, low_y, high_y", [
    (2, -3, 2, 0, 9), (3, -2, 1, -8, 1), (4, 1, 2, 1, 16), (-1, 0.5, 4, 0.25, 2), (-1, -4, -0.5, -2, -0.25),
    (-2, -2, -1, 0.25, 1), (0.5, 0, 4, 0, 2), (1.5, 0, 4, 0, 8), (0, -1, 1, 1, 1),
])
def test_intervals(exponent, low, high, low_y, high_y):
    bounds = Power(exponent).interval(interval(low, high))
    assert bounds.lower.item() == pytest.approx(low_y, abs=1e-13) and bounds.lower.item() <= low_y
    assert bounds.upper.item() == pytest.approx(high_y, abs=1e-13) and bounds.upper.item() >= high_y


@pytest.mark.parametrize("op", [Power(-1), Power(-2), Power(0.5), Power(1.5), Power(-0.5), Reciprocal(), Sqrt()])
def test_no_bound_across_0(op):
    bounds = op.interval(interval(-0.1, 1.0))
    assert bounds.lower.item() == -INF and bounds.upper.item() == INF


@pytest.mark.parametrize("op", [Power(0.5), Sqrt()])
def test_minus_0_is_0(op):
    """The root of -0 is -0, one over it -inf."""
    assert op.slopes(interval(-0.0, 1.0)).upper.item() == INF


def test_the_square_is_exactly_symmetric():
    x = torch.tensor([[-3.7, 3.7]], dtype=torch.float64)
    y = Power(2).evaluate(x)
    assert y[0, 0] == y[0, 1]


@pytest.mark.parametrize("exponent", [2, 4, -2, 0.5, 1.5, -0.5, 0])
def test_nothing_below_0(exponent):
    """Not even by rounding: the root of a square is defined."""
    low = -1.0 if exponent in (0, 2, 4) else 0.25
    bounds = Power(exponent).interval(interval(low, 1.0))
    assert bounds.lower.item() >= 0
    assert Sqrt().interval(Power(2).interval(interval(-1.0, 0.5))).lower.item() == 0
