"""The grafted activation: lines where the mask says so, ReLU elsewhere, and gradients only where they belong."""

from __future__ import annotations

import pytest
import torch

from grafting.activation import GraftedReLU
from verify.errors import InvalidInput, ShapeMismatch

MASK = torch.tensor([True, False, True])


def test_values_and_gradients():
    module = GraftedReLU(MASK, torch.tensor([0.5, 9.0, 0.0]), torch.tensor([1.0, 9.0, -2.0]))
    z = torch.tensor([[-4.0, -4.0, 7.0], [2.0, 3.0, -7.0]])
    y = module(z)
    assert y.tolist() == [[-1.0, 0.0, -2.0], [2.0, 3.0, -2.0]] and module.selected.tolist() == MASK.tolist()
    y.sum().backward()
    assert module.slope.grad.tolist() == [-2.0, 0.0, 0.0] and module.intercept.grad.tolist() == [2.0, 0.0, 2.0]
    assert str(module).startswith("GraftedReLU(\n  2 of 3 grafted")


def test_frozen_lines_are_no_parameters_to_train():
    assert not any(p.requires_grad for p in GraftedReLU(MASK, torch.zeros(3), torch.zeros(3), frozen=True).parameters())


def test_refused():
    with pytest.raises(ShapeMismatch, match=r"\[3\], \[2\] and \[3\]"):
        GraftedReLU(MASK, torch.zeros(2), torch.zeros(3))
    with pytest.raises(InvalidInput, match="booleans"):
        GraftedReLU(MASK.float(), torch.zeros(3), torch.zeros(3))
