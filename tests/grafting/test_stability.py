"""Instability, relaxation heights and their weights: against bounds by hand and the graph's own CROWN."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from grafting.graft import graft, selected
from grafting.stability import METHODS, stability
from tests.grafting.toys import SHAPE, Functional, conv, images, mlp
from verify.bounds.crown import crown_bounds
from verify.errors import InvalidInput
from verify.live import LiveNetwork
from verify.sets import Interval


@pytest.mark.parametrize("method", METHODS)
def test_by_hand(method):
    """z = x1 + x2 in [0.3, 1.1], x1 - x2 in [-0.4, 0.4], 1 - x1 in [0.3, 0.7] for x = (0.5, 0.2) +- 0.2; the margin is
    relu(x1 + x2) - 3 relu(x1 - x2 - 0.3)."""
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 0.0]]))
        model[0].bias.copy_(torch.tensor([0.0, -0.3, 1.0]))
        model[2].weight.copy_(torch.tensor([[1.0, 0.0, 0.0], [0.0, 3.0, 0.0]]))
        model[2].bias.zero_()
    height = 0.4 * 0.4 / 0.8
    found = stability(model, (2,), torch.tensor([[0.5, 0.2]]), torch.tensor([0]), 0.2, method)
    assert found.unstable["1"].tolist() == [0, 1, 0] and found.images == 1
    assert torch.allclose(found.area["1"], torch.tensor([0, height, 0], dtype=torch.float64), atol=1e-6)
    assert torch.allclose(found.weighted["1"], torch.tensor([0, 3 * height, 0], dtype=torch.float64), atol=1e-6)


@pytest.mark.parametrize("build", [mlp, conv, Functional])
def test_crown_counts_are_those_of_the_graph(build):
    model, x, eps = build(), images(4), 0.1
    y = model(x).argmax(1)
    found, live = stability(model, SHAPE, x, y, eps, "crown"), LiveNetwork(model, SHAPE)
    graph = live.graph(detach=True, dtype=torch.float64)
    ball = Interval((x.double() - eps).clamp(min=0).unsqueeze(1), (x.double() + eps).clamp(max=1).unsqueeze(1))
    bounds = crown_bounds(graph, ball)
    for name, share in found.unstable.items():
        pre = bounds[live.before(name)]
        wanted = ((pre.lower < 0) & (pre.upper > 0)).double().mean(0)[0]
        assert (share - wanted).abs().sum() <= 0.25, name  # float32 against float64
    tighter = stability(model, SHAPE, x, y, eps, "alpha-crown")
    for name in found.area:
        assert (tighter.unstable[name] <= found.unstable[name]).all()
        assert (tighter.area[name] <= found.area[name] + 1e-5).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("build", [mlp, conv, Functional])
def test_grafted_neurons_are_not_unstable(build, method):
    model, x = build(), images(20)
    y = model(x).argmax(1)
    before = stability(model, SHAPE, x[:3], y[:3], 0.1, method)
    masks = {name: share > 0 for name, share in before.unstable.items()}
    changed = graft(model, SHAPE, masks, calibration=x)
    after = stability(changed, SHAPE, x[:3], y[:3], 0.1, method)
    for name, mask in selected(changed, SHAPE).items():
        assert not (mask & ((after.unstable[name] > 0) | (after.weighted[name] > 0))).any()


def test_refused():
    model, x = mlp(), images(1)
    with pytest.raises(InvalidInput, match="known are alpha-crown, crown"):
        stability(model, SHAPE, x, torch.tensor([0]), 0.1, "ibp")
    with pytest.raises(InvalidInput, match="none were given"):
        stability(model, SHAPE, x[:0], torch.zeros(0), 0.1)
