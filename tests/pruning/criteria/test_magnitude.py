"""Magnitude by hand."""

from __future__ import annotations

import torch
from torch import nn

from pruning.criteria.base import Context
from pruning.criteria.magnitude import score
from pruning.layers import Scope
from pruning.mask import Mask


def test_by_hand():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    model[0].weight.data = torch.tensor([[1.0, -3], [0.5, 0]])
    x, y = torch.zeros(1, 2), torch.zeros(1, dtype=torch.long)
    assert score(model, Context(Mask.ones(model), x, y))["0.weight"].tolist() == [[1, 3], [0.5, 0]]
    assert score(model, Context(Mask.ones(model, Scope(), True), x, y))["0.weight"].tolist() == [2, 0.25]
