"""Sinh, Cosh and the inverse functions: derivatives, also far away."""

from __future__ import annotations

import pytest
import torch

from verify.ops import Acosh, Asinh, Atanh, Cosh, Sinh
from verify.sets import Interval


@pytest.mark.parametrize("op, low, high", [(Sinh(), -4, 4), (Cosh(), -4, 4), (Asinh(), -9, 9), (Acosh(), 1.1, 9),
                                           (Atanh(), -0.9, 0.9)])
def test_derivatives(op, low, high):
    x = torch.linspace(low, high, 41, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(op.evaluate(x).sum(), x)
    assert torch.allclose(op.derivative(x.detach()), slope, rtol=1e-12)


@pytest.mark.parametrize("op", [Asinh(), Acosh()])
def test_the_derivative_does_not_overflow_on_the_way(op):
    far = torch.tensor([1e30, 3e37])
    assert torch.allclose(op.derivative(far) * far, torch.ones(2), rtol=1e-6)


def test_cosh_turns_at_0():
    bounds = Cosh().interval(Interval(torch.tensor([[-1.0, 1.0]]), torch.tensor([[2.0, 2.0]])))
    assert bounds.lower[0, 0].item() == 1.0 and bounds.lower[0, 1].item() > 1.5
