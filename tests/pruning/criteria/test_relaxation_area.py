"""What a channel costs the margin bound: by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pruning.criteria.base import Context
from pruning.criteria.relaxation_area import score
from pruning.layers import Scope
from pruning.mask import Mask


def test_by_hand():
    """One unstable neuron in [-0.2, 0.2], read with -3 in the margin of class 0: -3 (chord intercept 0.1) = -0.3;
    where the margin reads it with +3 the lower line costs nothing."""
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 2, bias=False)).eval()
    model[0].weight.data = torch.tensor([[1.0, -1], [1, 1]])
    model[2].weight.data = torch.tensor([[0.0, 1], [3, 0]])
    x = torch.tensor([[0.5, 0.5]])
    for label, expected in ((0, -0.3), (1, 0)):
        y = torch.tensor([label])
        found = score(model, Context(Mask.ones(model, Scope(), True), x, y, x_held=x, y_held=y, eps=0.1))["0.weight"]
        assert found.tolist() == pytest.approx([expected, 0], abs=1e-5)
