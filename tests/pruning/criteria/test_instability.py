"""Instability shares by hand, and that CROWN bounds are what is counted."""

from __future__ import annotations

import torch
from torch import nn

from pruning.criteria.base import Context
from pruning.criteria.instability import score
from pruning.layers import Scope
from pruning.mask import Mask


def test_shares_by_hand():
    """x1 - x2 is unstable on a box of radius 0.1 at (0.5, 0.5) but not at (0.9, 0.1); x1 + x2 never is."""
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 2)).eval()
    model[0].weight.data = torch.tensor([[1.0, -1], [1, 1]])
    x, y = torch.tensor([[0.5, 0.5], [0.9, 0.1]]), torch.tensor([0, 1])
    found = score(model, Context(Mask.ones(model, Scope(), True), x, y, x_held=x, y_held=y, eps=0.1))
    assert found["0.weight"].tolist() == [-0.5, 0]


def test_bounds_are_those_of_crown():
    """r1 = relu(x1 + x2), r2 = relu(x1 + x2) are stable, so r1 - r2 + 0.1 = 0.1 exactly: intervals would not see it."""
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 1), nn.ReLU(), nn.Linear(1, 2)).eval()
    model[0].weight.data = torch.ones(2, 2)
    model[2].weight.data, model[2].bias.data = torch.tensor([[1.0, -1]]), torch.tensor([0.1])
    x, y = torch.tensor([[0.5, 0.5]]), torch.tensor([0])
    for bounds, expected in (("crown", 0), ("ibp", -1)):
        found = score(model, Context(Mask.ones(model, Scope(), True), x, y, x, y, eps=0.4, bounds=bounds))
        assert found["2.weight"].tolist() == [expected]


def test_space_is_averaged():
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2)).eval()
    model[0].weight.data, model[0].bias.data = torch.ones(1, 1, 1, 1), torch.tensor([-0.5])
    x, y = torch.tensor([[[[0.5, 0.9], [0.1, 0.45]]]]), torch.tensor([0])
    found = score(model, Context(Mask.ones(model, Scope(), True), x, y, x_held=x, y_held=y, eps=0.1))
    assert found["0.weight"].tolist() == [-0.5]
