"""SynFlow by hand, the conservation law, and what its iterations are for."""

from __future__ import annotations

import torch
from torch import nn

from pruning.criteria.base import Context
from pruning.criteria.synflow import absolute, score
from pruning.layers import Scope
from pruning.mask import Mask, tighten

Y = torch.zeros(1, dtype=torch.long)


def test_paths_by_hand():
    """Weights (1, -2; 3, 0), then (5, -1): the paths through them weigh (5, 10; 3, 0) and (15, 3)."""
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    model[0].weight.data, model[2].weight.data = torch.tensor([[1.0, -2], [3, 0]]), torch.tensor([[5.0, -1]])
    found = score(model, Context(Mask.ones(model), torch.zeros(1, 2), Y))
    assert found["0.weight"].tolist() == [[5, 10], [3, 0]]
    channels = score(model, Context(Mask.ones(model, Scope(), True), torch.zeros(1, 2), Y))
    assert channels["0.weight"].tolist() == [15, 3]


def network() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5),
                          nn.ReLU(), nn.Flatten(), nn.Linear(80, 6), nn.ReLU(), nn.Linear(6, 3))
    model(torch.rand(32, 1, 8, 8))
    with torch.no_grad():
        model[1].weight.uniform_(-1, 1)
        model[4].bias.normal_()
    return model


def test_conservation():
    """The scores of every layer add up to the output of the absolute network, running statistics or not."""
    model = network()
    context = Context(Mask.ones(model, Scope("all")), torch.zeros(1, 1, 8, 8), Y)
    total = absolute(model, context)(torch.ones(1, 1, 8, 8, dtype=torch.float64)).sum()
    for name, value in score(model, context).items():
        torch.testing.assert_close(value.sum(), total, msg=name)
        assert value.min() >= 0


def test_scale_and_weights_of_a_channel_agree():
    model = network()
    channels = score(model, Context(Mask.ones(model, Scope(), True), torch.zeros(1, 1, 8, 8), Y))
    weights = score(model, Context(Mask.ones(model, Scope()), torch.zeros(1, 1, 8, 8), Y))
    for name, value in channels.items():
        torch.testing.assert_close(value, weights[name].flatten(1).sum(1))


def test_images_do_not_matter():
    model = network()
    first, second = (score(model, Context(Mask.ones(model), x, Y)) for x in (torch.zeros(1, 1, 8, 8),
                                                                              torch.rand(3, 1, 8, 8)))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_in_steps_no_layer_vanishes():
    """At 5 % in one step the wide layer, whose weights share the paths among more of them, loses all; in 100 none."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 200), nn.ReLU(), nn.Linear(200, 8), nn.ReLU(),
                          nn.Linear(8, 2))
    mask = Mask.ones(model)
    at_once = tighten(mask, score(model, Context(mask, torch.zeros(1, 8), Y)), 0.02, may_empty=True)
    for k in range(1, 101):
        mask = tighten(mask, score(model, Context(mask, torch.zeros(1, 8), Y)), 0.02 ** (k / 100), may_empty=True)
    assert mask.kept == at_once.kept == round(0.02 * mask.total)
    assert min(int(keep.sum()) for keep in at_once.keep.values()) == 0
    assert min(int(keep.sum()) for keep in mask.keep.values()) > 0
