"""Steps by hand: values, jumps inside an interval, and the one-sided values that their lines touch."""

from __future__ import annotations

import pytest
import torch

from verify.ops import Ceil, Floor, Positive, Round, Sign
from verify.sets import Interval

X = torch.tensor([-1.5, -0.5, -0.0, 0.0, 0.5, 1.0, 1.5, 2.5], dtype=torch.float64)


def interval(low: float, high: float) -> Interval:
    return Interval(torch.tensor([[low]], dtype=torch.float64), torch.tensor([[high]], dtype=torch.float64))


@pytest.mark.parametrize("op, y", [
    (Floor(), [-2, -1, 0, 0, 0, 1, 1, 2]), (Ceil(), [-1, 0, 0, 0, 1, 1, 2, 3]), (Round(), [-2, 0, 0, 0, 0, 1, 2, 2]),
    (Sign(), [-1, -1, 0, 0, 1, 1, 1, 1]), (Positive(), [0, 0, 0, 0, 1, 1, 1, 1]),
    (Positive(or_zero=True), [0, 0, 1, 1, 1, 1, 1, 1]),
])
def test_values(op, y):
    assert op.evaluate(X).tolist() == y


@pytest.mark.parametrize("op, low, high, below, above", [
    (Floor(), 0.5, 3.2, [(0.5, 0), (1, 0), (3, 2), (3.2, 3)], [(0.5, 0), (1, 1), (3, 3), (3.2, 3)]),
    (Floor(), 1.0, 2.0, [(1, 1), (2, 1), (2, 1), (2, 2)], [(1, 1), (1, 1), (1, 1), (2, 2)]),
    (Ceil(), 0.5, 3.2, [(0.5, 1), (1, 1), (3, 3), (3.2, 4)], [(0.5, 1), (1, 2), (3, 4), (3.2, 4)]),
    (Round(), 0.4, 1.6, [(0.4, 0), (0.5, 0), (1.5, 1), (1.6, 2)], [(0.4, 0), (0.5, 1), (1.5, 2), (1.6, 2)]),
    (Sign(), -1.0, 2.0, [(-1, -1), (0, -1), (2, 1)], [(-1, -1), (0, 1), (2, 1)]),
    (Sign(), 0.0, 2.0, [(0, 0), (0, 0), (2, 1)], [(0, 0), (0, 1), (2, 1)]),
    (Positive(), -1.0, 0.0, [(-1, 0), (0, 0), (0, 0)], [(-1, 0), (-1, 0), (0, 0)]),
])
def test_anchors(op, low, high, below, above):
    for lower, wanted in ((True, below), (False, above)):
        found = [(z.item(), y.item()) for z, y in op.anchors(interval(low, high), lower)]
        assert found == [pytest.approx(point, abs=1e-15) for point in wanted]


@pytest.mark.parametrize("op", [Floor(), Ceil(), Round(), Sign(), Positive()])
def test_slopes_are_0_or_unbounded(op):
    across, within = op.slopes(interval(-1.0, 1.0)), op.slopes(interval(0.6, 0.7))
    assert (across.lower.item(), across.upper.item()) == (0, torch.inf)
    assert (within.lower.item(), within.upper.item()) == (0, 0)


def test_knots_are_jumps_next_to_the_middle():
    assert Floor().knots(interval(0.2, 6.0))[0].item() == 3 and Round().knots(interval(0.2, 4.4))[0].item() == 2.5
    assert Floor().knots(interval(0.2, 0.4))[0].item() == 0.2
