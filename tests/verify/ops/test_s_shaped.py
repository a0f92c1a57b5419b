"""Sigmoid and tanh: values, derivatives by value, range."""

from __future__ import annotations

import math

import pytest
import torch

from verify.ops import Sigmoid, Tanh
from verify.sets import Interval


@pytest.mark.parametrize("op, f", [(Sigmoid(), lambda x: 1 / (1 + math.exp(-x))), (Tanh(), math.tanh)])
def test_values_within_the_charged_error(op, f):
    x = torch.linspace(-30, 30, 601, dtype=torch.float64)
    y = op.evaluate(x)
    truth = torch.tensor([f(v) for v in x.tolist()], dtype=torch.float64)
    assert bool(((y - truth).abs() <= op.error(x, y)).all())


@pytest.mark.parametrize("op", [Sigmoid(), Tanh()])
def test_derivative_by_value(op):
    x = torch.linspace(-5, 5, 41, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(op.evaluate(x).sum(), x)
    assert torch.allclose(op.derivative_at_value(op.evaluate(x.detach())), slope, atol=1e-12)


@pytest.mark.parametrize("op", [Sigmoid(), Tanh()])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_interval_keeps_the_range(op, dtype):
    wide = torch.tensor([[1e4]], dtype=dtype)
    bounds = op.interval(Interval(-wide, wide))
    assert bounds.lower.item() == op.bottom and bounds.upper.item() == op.top
