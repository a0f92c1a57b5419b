"""What all unary primitives inherit, on a parabola and on a function with a jump in its derivative."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from verify.ops import Cos, Exp, Log, Reciprocal, Sigmoid, Sin, Sqrt
from verify.ops.curve import Curve, clip
from verify.sets import Interval

INF = float("inf")


def interval(low: list[float], high: list[float], dtype=torch.float64) -> Interval:
    return Interval(torch.tensor([low], dtype=dtype), torch.tensor([high], dtype=dtype))


@dataclass(frozen=True, eq=False)
class Kinked(Curve):
    """y = z^2 for z < 1, then 2 - z: convex, then straight."""

    breaks, bends, turns = (1.0,), (1, 0), (0.0, 1.0)

    def evaluate(self, *xs: Tensor) -> Tensor:
        return torch.where(xs[0] < 1, xs[0] ** 2, 2 - xs[0])

    def derivative(self, x: Tensor) -> Tensor:
        return torch.where(x <= 1, 2 * x, -1.0)


def test_interval_looks_at_ends_and_turns():
    bounds = Kinked().interval(interval([-1.0, 0.5, 2.0], [0.5, 3.0, 5.0]))
    assert torch.allclose(bounds.lower, torch.tensor([[0.0, -1.0, -3.0]], dtype=torch.float64), atol=1e-14)
    assert torch.allclose(bounds.upper, torch.tensor([[1.0, 1.0, 0.0]], dtype=torch.float64), atol=1e-14)


def test_slopes_look_at_ends_and_knots():
    pre = interval([-1.0, 0.5, 2.0], [0.5, 3.0, 5.0])
    slopes = Kinked().slopes(pre)
    assert torch.allclose(slopes.lower, torch.tensor([[-2.0, -1.0, -1.0]], dtype=torch.float64), atol=1e-13)
    assert torch.allclose(slopes.upper, torch.tensor([[1.0, 2.0, -1.0]], dtype=torch.float64), atol=1e-13)
    assert torch.allclose(Kinked().steepness(pre), torch.tensor([[2.0, 2.0, 1.0]], dtype=torch.float64), atol=1e-13)


def test_pieces_and_anchors_cover_the_interval():
    pre = interval([-1.0, 0.5, 2.0], [0.5, 3.0, 5.0])
    ((a, b),) = Kinked().pieces(pre, pre.lower, convex=True)
    assert a.tolist() == [[-1.0, 0.5, 2.0]] and b.tolist() == [[0.5, 1.0, 2.0]]
    assert Kinked().pieces(pre, pre.lower, convex=False) == ()
    assert [z.tolist() for z, _ in Kinked().anchors(pre, convex=True)] == [[[-1.0, 0.5, 2.0]], [[0.5, 3.0, 5.0]]]
    # For the upper line, the break between a convex and a straight piece may be the point that it touches.
    assert [z.tolist() for z, _ in Kinked().anchors(pre, convex=False)][1] == [[0.5, 1.0, 2.0]]


def test_clip():
    assert clip(1.0, interval([0.0, 2.0, -3.0], [4.0, 3.0, -2.0])).tolist() == [[1.0, 2.0, -2.0]]


@pytest.mark.parametrize("op", [Log(), Reciprocal(), Sqrt()])
def test_outside_of_the_domain_there_is_no_bound(op):
    pre = interval([-1.0], [1.0])
    assert not op.defined(pre).any()
    for bounds in (op.interval(pre), op.slopes(pre)):
        assert bounds.lower.item() == -INF and bounds.upper.item() == INF
    assert op.steepness(pre).item() == INF


def test_what_overflows_is_large_and_finite():
    bounds = Exp().interval(interval([0.0, 800.0], [800.0, 900.0]))
    assert bounds.lower[0, 0].item() == pytest.approx(1) and 1e307 < bounds.lower[0, 1].item() < INF
    assert bounds.upper.tolist() == [[INF, INF]]


def test_infinite_ends():
    bounds = Sigmoid().interval(interval([-INF, 0.0], [INF, INF]))
    assert bounds.lower[0, 0].item() == 0 and bounds.upper.tolist() == [[1.0, 1.0]]
    for op in (Sin(), Cos()):
        bounds = op.interval(interval([-INF, 3.0], [INF, INF]))
        assert bounds.lower.tolist() == [[-1.0, -1.0]] and bounds.upper.tolist() == [[1.0, 1.0]]
