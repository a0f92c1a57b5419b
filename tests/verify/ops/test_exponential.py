"""Exp, Log, Softplus and the ELU family, by hand and against torch's own."""

from __future__ import annotations

import torch
from torch.nn import functional

from verify.ops import Elu, Exp, Log, Softplus
from verify.sets import Interval

X = torch.linspace(-6, 6, 101, dtype=torch.float64)


def test_values():
    assert torch.equal(Exp().evaluate(X), torch.exp(X)) and torch.equal(Log().evaluate(X.exp()), torch.log(X.exp()))
    assert torch.allclose(Softplus().evaluate(X), functional.softplus(X))
    assert torch.allclose(Softplus(3.0).evaluate(X), functional.softplus(X, beta=3.0))
    assert torch.allclose(Elu(0.7).evaluate(X), functional.elu(X, alpha=0.7))
    assert torch.allclose(Elu(1.6732632423543772, 1.0507009873554805).evaluate(X), functional.selu(X))
    assert torch.allclose(Elu(2.0, beta=0.5).evaluate(X), functional.celu(X, alpha=2.0))


def test_softplus_far_left_keeps_its_relative_accuracy():
    assert Softplus().evaluate(torch.tensor([-700.0], dtype=torch.float64)).item() > 0


def test_elu_of_a_negative_alpha_turns_at_0():
    bounds = Elu(-1.0).interval(Interval(torch.tensor([[-1.0]]), torch.tensor([[2.0]])))
    assert -1e-6 < bounds.lower.item() <= 0 and bounds.upper.item() >= 2


def test_the_kink_of_elu_is_steep_on_the_left():
    op = Elu(3.0)
    assert op.bends == (1, 0) and op.derivative(torch.tensor([0.0, 1.0])).tolist() == [3.0, 1.0]
