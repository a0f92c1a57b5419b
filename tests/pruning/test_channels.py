"""The analysis: constants found forward, kept channels by a fixpoint."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pruning.channels import Value, analyse, rebuilt, recorded, trace
from pruning.operations import rules_of
from verify.errors import InvalidInput, ShapeMismatch


def test_values_hold_content_of_constants_only():
    value = Value.of(torch.tensor([True, False]), torch.full((2, 2, 2), 3.0))
    assert value.content[0].eq(3).all() and value.content[1].eq(0).all()
    zeroed = value.zeroed(torch.tensor([True, True]))
    assert zeroed.constant.all() and zeroed.content.eq(0).all()
    with pytest.raises(ShapeMismatch, match=r"\(3,\) marks for \(2,\) channels"):
        value.zeroed(torch.ones(3, dtype=torch.bool))


def test_constants_and_kept_channels():
    """Neuron 0 is constant, neuron 2 is not read."""
    net = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 2))
    with torch.no_grad():
        net[0].weight[0], net[2].weight[:, 2] = 0, 0
    traced = trace(net)
    found = analyse(traced, rules_of(traced, (2,)), {})
    named = {node.name: node for node in found.kept}
    assert list(named) == ["input_1", "_0", "_1", "_2"]
    assert found.values[named["_1"]].constant.tolist() == [True, False, False, False]
    assert found.values[named["_1"]].content[0] == net[0].bias[0].double().clamp(min=0)
    assert found.kept[named["_0"]].tolist() == [False, True, False, True] == found.kept[named["_1"]].tolist()
    assert found.kept[named["input_1"]].all() and found.kept[named["_2"]].all()
    small = rebuilt(found)
    assert small.training and not rebuilt(analyse(trace(net.eval()), rules_of(trace(net), (2,)), {})).training


def test_recorded_is_a_float64_copy():
    net = nn.Linear(2, 3)
    double, found = recorded(trace(nn.Sequential(net)), (2,))
    assert next(double.parameters()).dtype == torch.float64 and net.weight.dtype == torch.float32
    assert [tuple(value.shape) for value in found.values()] == [(1, 2), (1, 3), (1, 3)]


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


def test_refusals():
    with pytest.raises(InvalidInput, match="Branching cannot be traced"):
        trace(Branching())
    traced = trace(nn.Sequential(nn.Linear(2, 3)))
    with pytest.raises(InvalidInput, match="no value 'relu' in the network; there are _0, input_1"):
        analyse(traced, rules_of(traced, (2,)), {"relu": torch.ones(3, dtype=torch.bool)})
