"""Removal changes nothing on the box: by hand, on narrow domains, on random networks; and may outside."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import pruning.lossless
from pruning.compact import compact, masked
from pruning.lossless import lossless
from tests.pruning.networks import random_network, zero_at_random
from training.from_onnx import load_module
from training.models import build
from verify.errors import BrokenInvariant, InvalidInput, ShapeMismatch, UnsupportedOperator
from verify.sets import Interval

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.onnx"))


def assert_equal_on(one: nn.Module, other: nn.Module, lower: torch.Tensor, upper: torch.Tensor, shape) -> None:
    """Random points and corners, in float64."""
    torch.manual_seed(5)
    share = torch.rand(400, *shape, dtype=torch.float64)
    share[200:] = share[200:].round()
    x = (lower + share * (upper - lower)).double()
    one, other = (m.double().eval() for m in (one, other))
    y = one(x)
    assert torch.allclose(other(x), y, rtol=0, atol=1e-9 * (1 + y.abs().max().item()))


def by_hand() -> nn.Sequential:
    """On [0, 1]^2: neuron 0 is x + y + 1 > 0, neuron 1 is x - y - 3 < 0, neuron 2 is x - y, unstable."""
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1)).double()
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0, 1], [1, -1], [1, -1]]))
        net[0].bias.copy_(torch.tensor([1.0, -3, 0]))
        net[2].weight.copy_(torch.tensor([[1.0, 5, 1], [2, 5, 0]]))
        net[2].bias.copy_(torch.tensor([1.0, 0.5]))
    return net


def test_by_hand():
    net = by_hand()
    small, report = lossless(net, (2,), (torch.zeros(2), torch.ones(2)))
    first, second = report.layers
    assert (first.inactive, first.active, first.unstable, first.kept, first.linear) == (1, 1, 1, 2, False)
    assert (second.inactive, second.active, second.linear, second.kept) == (0, 2, True, 2)
    assert report.merges == ("2 into 4",) and report.margin == pytest.approx(2) and report.method == "crown"
    assert {name: tuple(p.shape) for name, p in small.named_parameters()} == {
        "0.weight": (2, 2), "0.bias": (2,), "4.weight": (1, 2), "4.bias": (1,)}
    assert_equal_on(net, small, torch.zeros(2), torch.ones(2), (2,))
    outside = torch.tensor([[9.0, -9.0]], dtype=torch.float64)
    assert not torch.allclose(net(outside), small(outside)), "the box belongs to the network"
    assert small.meta["box"][1].tolist() == [1, 1] and small.meta["input_shape"] == (2,)
    for words in ("1 always inactive, 1 always active, 1 unstable; 2 of 3", "no ReLU needed", "merged 2 into 4"):
        assert words in report.text()


def test_a_stable_network_becomes_one_layer():
    net = by_hand()
    small, report = lossless(net, (2,), Interval(torch.tensor([0.4, 0.1]), torch.tensor([0.5, 0.2])), method="ibp")
    assert [name for name, _ in small.named_children()] == ["4"] and small.get_submodule("4").weight.shape == (1, 2)
    assert len(report.merges) == 2 and report.parameters == (20, 3)
    assert_equal_on(net, small, torch.tensor([0.4, 0.1]), torch.tensor([0.5, 0.2]), (2,))


def test_a_wholly_inactive_layer_leaves_a_constant():
    net = by_hand()
    with torch.no_grad():
        net[2].bias.fill_(-100)
    small, report = lossless(net, (2,), (torch.zeros(2), torch.ones(2)))
    assert report.layers[1].inactive == 2 and report.layers[1].kept == 1, "a layer that is read is never empty"
    assert_equal_on(net, small, torch.zeros(2), torch.ones(2), (2,))


class Control(nn.Module):
    """Five inputs as (1, 1, 5), four layers, a functional ReLU: like the ACAS Xu networks."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(4)
        self.layers = nn.ModuleList([nn.Linear(5, 20), nn.Linear(20, 20), nn.Linear(20, 20)])
        self.out = nn.Linear(20, 5)
        for layer in self.layers:
            nn.init.normal_(layer.weight, std=0.4)
            nn.init.normal_(layer.bias, std=0.4)
        self.register_buffer("mean", torch.full((1, 1, 5), 0.1))

    def forward(self, x):
        x = torch.flatten(x - self.mean, 1)
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.out(x)


def test_narrow_domains():
    net = Control().double()
    center = torch.tensor([0.6, 0.1, -0.2, 0.45, 0.3]).reshape(1, 1, 5)
    sizes = []
    for radius in (10.0, 0.1, 0.02):
        small, report = lossless(net, (1, 1, 5), (center - radius, center + radius))
        assert_equal_on(net, small, center - radius, center + radius, (1, 1, 5))
        sizes.append(report.parameters[1])
        assert [layer.relu for layer in report.layers] == ["relu", "relu_1", "relu_2"]
    assert sizes[0] == report.parameters[0] and sizes[2] < sizes[1] < 0.6 * sizes[0]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples(path):
    module = load_module(path)
    shape = module.meta["input_shape"]
    for lower, upper in ((0.0, 1.0), (0.3, 0.35)):
        small, report = lossless(module, shape, (torch.tensor(lower), torch.tensor(upper)))
        assert_equal_on(load_module(path), small, torch.tensor(lower), torch.tensor(upper), shape)
        assert all(layer.inactive + layer.active + layer.unstable == layer.neurons for layer in report.layers)
    assert report.found_anything and report.parameters[1] < report.parameters[0]


def test_nothing_to_find_is_said():
    plain = nn.Sequential(nn.Linear(4, 3, bias=False), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 2))
    small, report = lossless(plain.train(), (4,), (-torch.ones(4), torch.ones(4)))
    assert not report.found_anything and report.margin == torch.inf and "nothing can be removed" in report.text()
    assert report.merges == ("1 into 0",) and small.training, "the batch normalisation is folded all the same"


def test_batch_normalisations_can_stay():
    net = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2))
    with torch.no_grad():
        net[1].bias.copy_(torch.tensor([-9.0, 9, 0, 0, 0, 0]))
    small, report = lossless(net, (4,), (-torch.ones(4), torch.ones(4)), fold=False)
    assert report.merges == () and small.get_submodule("1").num_features == 5 and report.found_anything
    assert_equal_on(net, small, -torch.ones(4), torch.ones(4), (4,))


def test_after_pruning_it_removes_what_was_masked():
    net = masked(build("cnn-tiny", (1, 8, 8), 10), {"conv1": torch.arange(8) < 5, "fc1": torch.arange(64) < 20})
    small, report = lossless(net, (1, 8, 8), (torch.zeros(()), torch.ones(())))
    kept = {name: p.shape[0] for name, p in small.named_parameters() if name.endswith("weight")}
    expected = {name: p.shape[0] for name, p in compact(net, (1, 8, 8)).named_parameters() if name in kept}
    assert all(kept[name] <= expected[name] for name in kept) and kept["conv1.weight"] <= 3
    assert report.found_anything


@pytest.mark.parametrize("seed", range(16))
def test_random_networks(seed):
    net, shape = random_network(seed, bounded=True)
    zero_at_random(net, ("channels", "rows", "weights", "layer")[seed % 4])
    center = torch.randn(shape, dtype=torch.float64)
    radius = (0.001, 0.03, 0.3)[seed % 3]
    small, report = lossless(net, shape, (center - radius, center + radius), method=("crown", "ibp")[seed % 2])
    assert_equal_on(net, small, center - radius, center + radius, shape)
    assert report.parameters[1] <= report.parameters[0] + 20, "folding may add biases"


def test_samples_refute_wrong_bounds(monkeypatch):
    every = torch.ones(3, dtype=torch.bool)
    monkeypatch.setattr(pruning.lossless, "_stable", lambda pre: (every[: pre.lower.shape[2]],) * 2)
    with pytest.raises(BrokenInvariant, match="is off by"):
        lossless(by_hand(), (2,), (torch.zeros(2), torch.ones(2)))


def test_refusals():
    net = by_hand()
    with pytest.raises(InvalidInput, match="unknown bound method 'lp': one of crown, ibp"):
        lossless(net, (2,), (torch.zeros(2), torch.ones(2)), "lp")
    with pytest.raises(InvalidInput, match="every lower end at most the upper"):
        lossless(net, (2,), (torch.ones(2), torch.zeros(2)))
    with pytest.raises(InvalidInput, match="must be finite"):
        lossless(net, (2,), (torch.zeros(2), torch.full((2,), torch.inf)))
    with pytest.raises(ShapeMismatch, match=r"shape \[3\]; the network takes \[2\]"):
        lossless(net, (2,), (torch.zeros(3), torch.ones(3)))
    with pytest.raises(InvalidInput, match="got 3 tensors"):
        lossless(net, (2,), (torch.zeros(2),) * 3)
    with pytest.raises(UnsupportedOperator, match="'0'"):
        lossless(nn.Sequential(nn.LayerNorm(2)), (2,), (torch.zeros(2), torch.ones(2)))
