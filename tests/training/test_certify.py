"""Certificates against enumeration and single-image CROWN; instability and area by hand."""

import math
from fractions import Fraction

import pytest
import torch
from torch import nn

from training.certify import (
    batch_size,
    crown_bounded,
    crown_verified,
    margin_rows,
    outer_ball,
    quick_verified,
)
from training.models import build
from verify.bounds.crown import crown
from verify.bounds.ibp import ibp
from verify.bounds.walk import charges
from verify.errors import InvalidInput, ShapeMismatch
from verify.live import LiveNetwork


@pytest.fixture(scope="module")
def network():
    return build("mlp-2x12", (1, 3, 3), 4, (0.5,), (0.25,), seed=1).eval()


@pytest.fixture(scope="module")
def live(network):
    return LiveNetwork(network, (1, 3, 3))


def images(count=30, seed=0):
    return torch.rand(count, 1, 3, 3, generator=torch.Generator().manual_seed(seed))


def test_balls_are_rounded_outward_and_clipped():
    x, eps = torch.rand(200, 1, 2, 2, generator=torch.Generator().manual_seed(0)), 0.1
    box = outer_ball(x, eps)
    for value, low, high in zip(x.flatten().tolist(), box.lower.flatten().tolist(), box.upper.flatten().tolist(),
                                strict=True):
        assert Fraction(low) <= max(Fraction(value) - Fraction(eps), 0) < Fraction(low) + Fraction(1, 10**15)
        assert Fraction(high) >= min(Fraction(value) + Fraction(eps), 1) > Fraction(high) - Fraction(1, 10**15)
    with pytest.raises(InvalidInput, match="eps must be"):
        outer_ball(x, -0.1)


def test_rows_are_label_minus_every_other_class():
    rows = margin_rows(torch.tensor([1, 0]), (1, 3), torch.zeros(1))
    assert rows.tolist() == [[[[-1, 1, 0]], [[0, 1, -1]]], [[[1, -1, 0]], [[1, 0, -1]]]]


def test_a_batch_gives_what_single_images_give(network, live):
    x = images()
    y = network(x).argmax(1)
    graph = live.graph(detach=True, dtype=torch.float64)
    found = crown_bounded(graph, x, y, 0.03, batch=7)
    for k in range(0, 30, 7):
        box = outer_ball(x[k : k + 1].unsqueeze(1), 0.03)
        lower, bounds = crown(graph, box, margin_rows(y[k : k + 1], (1, 4), box.lower),
                              charges=charges(graph, ibp(graph, box)))
        assert float(found.margins[k]) == pytest.approx(float(lower.min()), abs=1e-9)
        for relu, counts in found.unstable.items():
            pre = bounds[graph[relu].inputs[0]]
            assert int(counts[k]) == int(((pre.lower < 0) & (pre.upper > 0)).sum())
    assert 0 < int(found.verified.sum()) < 30
    assert torch.equal(found.verified, crown_verified(graph, x, y, 0.03))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_sampled_point_contradicts_a_margin(network, live, dtype):
    x = images(20, seed=2)
    y = network(x).argmax(1)
    found = crown_bounded(live.graph(detach=True, dtype=dtype), x, y, 0.05)
    double = live.graph(detach=True, dtype=torch.float64)
    box = outer_ball(x, 0.05)
    for k in range(20):
        points = box[k : k + 1].sample(500, torch.Generator().manual_seed(k)).unsqueeze(1)
        scores = double.evaluate(points).flatten(1)
        least = (scores[:, y[k] : y[k] + 1] - scores)[:, torch.arange(4) != y[k]].min()
        assert float(found.margins[k]) <= float(least) + 1e-12


def test_misclassified_images_are_never_certified(network, live):
    x = images()
    y = (network(x).argmax(1) + 1) % 4
    assert not bool(crown_verified(live.graph(detach=True), x, y, 0.0).any())


def test_instability_and_area_by_hand():
    """z = (x - 1/2, x + 1) on x in [0.25, 1]: the first is unstable with area 0.25 * 0.5 / 2, the second is active."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 2))
    with torch.no_grad():
        model[1].weight.copy_(torch.ones(2, 1))
        model[1].bias.copy_(torch.tensor([-0.5, 1.0]))
    live = LiveNetwork(model, (1, 1, 1))
    x = torch.tensor([[[[0.75]]], [[[0.75]]]])
    found = crown_bounded(live.graph(detach=True, dtype=torch.float64), x, torch.tensor([0, 1]), 0.5)
    (relu,) = live.relus
    assert found.unstable[relu].tolist() == [1, 1] and found.neurons[relu] == 2
    assert found.area[relu].tolist() == pytest.approx([0.0625] * 2)


def test_removed_neurons_count_as_neurons_and_are_stable(network):
    model = build("mlp-1x12", (1, 3, 3), 4, seed=1).eval()
    with torch.no_grad():
        model.fc1.weight[:6] = 0
        model.fc1.bias[:6] = 0
    live = LiveNetwork(model, (1, 3, 3))
    found = crown_bounded(live.graph(detach=True), images(5), torch.zeros(5, dtype=torch.long), 1.0)
    (relu,) = live.relus
    assert found.neurons[relu] == 12 and int(found.unstable[relu].max()) <= 6


def test_quick_estimates_agree_with_rigorous_bounds(network, live):
    x = images(40, seed=3)
    y = network(x).argmax(1)
    quick = quick_verified(live, x, y, 0.03)
    slow = crown_verified(live.graph(detach=True, dtype=torch.float64), x, y, 0.03)
    assert not bool((slow & ~quick).any()) and int((quick != slow).sum()) <= 1
    loose = quick_verified(live, x, y, 0.03, intermediate="ibp")
    assert not bool((loose & ~quick).any())
    assert quick_verified(live, x[:0], y[:0], 0.03).shape == (0,)


def test_nothing_to_do_and_wrong_shapes(live):
    graph = live.graph(detach=True)
    assert crown_verified(graph, images(0), torch.zeros(0, dtype=torch.long), 0.1).shape == (0,)
    with pytest.raises(ShapeMismatch, match=r"images have shape \[1, 4, 4\]"):
        crown_verified(graph, torch.rand(2, 1, 4, 4), torch.zeros(2, dtype=torch.long), 0.1)


def test_batches_shrink_with_the_network(live):
    large = LiveNetwork(build("cnn-b", (3, 32, 32), 10), (3, 32, 32)).graph(detach=True)
    assert 1 <= batch_size(large) < batch_size(live.graph(detach=True)) == 256
    assert math.prod(large.input.shape) == 3072
