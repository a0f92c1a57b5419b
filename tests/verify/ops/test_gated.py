"""GELU, SiLU, Mish and HardSwish against torch's own; constants that are computed elsewhere."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from verify.ops import Gelu, GeluTanh, HardSwish, Mish, Silu
from verify.sets import Interval

X = torch.linspace(-12, 12, 401, dtype=torch.float64)
GATED = [Gelu(), GeluTanh(), Silu(), Silu(1.702), Mish()]


@pytest.mark.parametrize("op, f", [
    (Gelu(), functional.gelu),
    (GeluTanh(), lambda x: functional.gelu(x, approximate="tanh")),
    (Silu(), functional.silu),
    (Silu(2.5), lambda x: x * torch.sigmoid(2.5 * x)),
    (Mish(), functional.mish),
    (HardSwish(), functional.hardswish),
])
def test_values(op, f):
    assert torch.allclose(op.evaluate(X), f(X), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("op", GATED)
def test_constants(op):
    """f'' is 0 at the breaks and f' at the turn; f'' is positive between the breaks and negative outside."""
    def curvature(z: float) -> float:
        x = torch.tensor([z - 1e-5, z + 1e-5], dtype=torch.float64)
        return (op.derivative(x)[1] - op.derivative(x)[0]).item() / 2e-5

    (low, high), (turn,) = op.breaks, op.turns
    assert abs(curvature(low)) < 1e-9 and abs(curvature(high)) < 1e-9
    assert curvature(low - 0.1) < 0 < curvature(low + 0.1) and curvature(high + 0.1) < 0 < curvature(high - 0.1)
    assert abs(op.derivative(torch.tensor(turn, dtype=torch.float64)).item()) < 1e-14


@pytest.mark.parametrize("op", GATED)
def test_stationary_points_on_every_piece(op):
    low, high = op.breaks
    for a, b, convex in ((low - 6, low, False), (low, high, True), (high, high + 6, False)):
        ends = torch.full_like(X, a), torch.full_like(X, b)
        z = a + (b - a) * torch.linspace(0, 1, len(X), dtype=torch.float64)
        slope = op.derivative(z)
        assert torch.allclose(op.derivative(op.stationary(slope, *ends, convex)), slope, rtol=0, atol=1e-9)


def test_far_left_nothing_is_left():
    pre = Interval(torch.tensor([[-1e30, -200.0]]), torch.tensor([[-1e3, -150.0]]))
    for op in (*GATED, HardSwish()):
        bounds = op.interval(pre)
        assert bool(((bounds.lower <= 0) & (bounds.upper >= 0) & (bounds.upper < 1e-6)).all())


def test_hard_swish_by_hand():
    op = HardSwish()
    assert op.evaluate(torch.tensor([-4.0, -1.5, 3.0, 5.0])).tolist() == [0.0, -0.375, 3.0, 5.0]
    assert op.derivative(torch.tensor([-3.0, 3.0])).tolist() == [-0.5, 1.5]  # those of the parabola
