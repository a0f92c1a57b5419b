"""Network slimming: scores, and what they need."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pruning.criteria.base import Context
from pruning.criteria.slimming import score
from pruning.layers import Scope
from pruning.mask import Mask
from verify.errors import InvalidInput

X, Y = torch.zeros(1, 2), torch.zeros(1, dtype=torch.long)


def test_by_hand():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 2))
    model[1].weight.data = torch.tensor([0.5, -2, 0.01])
    found = score(model, Context(Mask.ones(model, Scope(), True), X, Y))["0.weight"]
    assert found.tolist() == pytest.approx([0.5, 2, 0.01])


def test_a_layer_without_normalisation_is_named():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
    with pytest.raises(InvalidInput, match=r"'0.weight' has none"):
        score(model, Context(Mask.ones(model, Scope(), True), X, Y))
