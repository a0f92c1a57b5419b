"""SNIP by hand on two weights, and against differences of a factor in front of a channel."""

from __future__ import annotations

import copy

import torch
from torch import nn

from pruning.criteria.base import Context
from pruning.criteria.snip import factor_gradients, score
from pruning.layers import Scope
from pruning.mask import Mask


def test_two_weights_by_hand():
    """f(x) = relu(2 x1 - 3 x2), L = f^2 / 2 at x = (4, 1): f = 5, dL/dw = (20, 5), scores (40, 15)."""
    model = nn.Sequential(nn.Linear(2, 1, bias=False), nn.ReLU(), nn.Linear(1, 1, bias=False))
    model[0].weight.data, model[2].weight.data = torch.tensor([[2.0, -3]]), torch.ones(1, 1)
    context = Context(Mask.ones(model), torch.tensor([[4.0, 1]]), torch.zeros(1),
                      loss=lambda f, y: f.square().mean() / 2)
    assert score(model, context)["0.weight"].tolist() == [[40, 15]]
    structured = Context(Mask.ones(model, Scope(), True), context.x, context.y, loss=context.loss)
    assert score(model, structured)["0.weight"].tolist() == [25], "2 (20) - 3 (5): the signs count within a channel"


def test_channels_against_a_difference():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2)).double()
    x, y = torch.rand(16, 3, dtype=torch.float64), torch.randint(2, (16,))
    context = Context(Mask.ones(model, Scope(), True), x, y, batch_statistics=True)
    found = factor_gradients(copy.deepcopy(model).train(), context, x, y)["0.weight"]
    for channel in range(4):
        losses = []
        for factor in (1 - 1e-6, 1 + 1e-6):
            scaled = copy.deepcopy(model).train()
            scaled[1].weight.data[channel] *= factor
            scaled[1].bias.data[channel] *= factor
            losses.append(float(context.loss(scaled(x), y).detach()))
        assert abs((losses[1] - losses[0]) / 2e-6 - float(found[channel])) < 1e-7


def test_one_batch_is_read():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    x, y = torch.rand(64, 3), torch.randint(2, (64,))
    small = Context(Mask.ones(model), x, y, batch=8)
    images, labels = next(small.batches())
    whole = Context(Mask.ones(model), images, labels, batch=8, seed=5)
    torch.testing.assert_close(score(model, small), score(model, whole))
