"""The NRS score by hand, with and without batch normalisation."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from pruning.criteria.base import Context
from pruning.criteria.nrs import score
from pruning.layers import Scope
from pruning.mask import Mask, tighten

X, Y = torch.tensor([[0.5, 0.5]]), torch.tensor([0])


def layer() -> nn.Linear:
    """On the box of radius 0.1 around (0.5, 0.5): neuron 0 in [-0.2, 0.2], neuron 1 in [0.8, 1.2]."""
    made = nn.Linear(2, 2, bias=False)
    made.weight.data = torch.tensor([[1.0, -1], [1, 1]])
    return made


def context(model: nn.Module) -> Context:
    return Context(Mask.ones(model, Scope(), True), X, Y, x_held=X, y_held=Y, eps=0.1)


def test_rows_scale_where_there_is_no_normalisation():
    model = nn.Sequential(layer(), nn.ReLU(), nn.Linear(2, 2)).eval()
    expected = [math.tanh(1 - 0.04 / 2), math.tanh(1 + 0.96 / 2)]
    assert score(model, context(model))["0.weight"].tolist() == pytest.approx(expected, rel=1e-5)


def test_the_scale_of_the_normalisation():
    norm = nn.BatchNorm1d(2, eps=0.0)
    norm.weight.data, norm.bias.data = torch.tensor([0.5, 2.0]), torch.tensor([0.0, -2.0])
    model = nn.Sequential(layer(), norm, nn.ReLU(), nn.Linear(2, 2)).eval()
    # Pre-activations: 0.5 [-0.2, 0.2] and 2 [0.8, 1.2] - 2 = [-0.4, 0.4].
    expected = [math.tanh(1 - 0.01 / 0.25), math.tanh(1 - 0.16 / 4)]
    assert score(model, context(model))["0.weight"].tolist() == pytest.approx(expected, rel=1e-5)


def test_the_score_does_not_change_with_the_scale():
    """gamma and beta times a factor: the same relative bounds, the same score (RS loss would fall)."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2)).eval()
    x = torch.rand(5, 1, 6, 6)
    given = Context(Mask.ones(model, Scope(), True), x, Y, x_held=x, y_held=torch.zeros(5, dtype=torch.long), eps=0.1)
    before = score(model, given)["0.weight"]
    with torch.no_grad():
        model[1].weight *= 0.1
        model[1].bias *= 0.1
    torch.testing.assert_close(score(model, given)["0.weight"], before, rtol=1e-4, atol=1e-5)


def test_dead_channels_do_not_come_back():
    model = nn.Sequential(layer(), nn.ReLU(), nn.Linear(2, 2)).eval()
    mask = Mask.ones(model, Scope(), True).narrowed({"0.weight": torch.tensor([True, False])})
    given = Context(mask, X, Y, x_held=X, y_held=Y, eps=0.1)
    scores = score(model, given)["0.weight"]
    assert bool(torch.isfinite(scores).all()) and scores[1] >= scores[0], "dead is stable, hence best"
    assert tighten(mask, score(model, given), 0.5).units()["0.weight"].tolist() == [True, False]
