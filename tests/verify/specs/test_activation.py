"""Activation patterns as premises, against samples that follow them."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.verify.specs.models import check, classes, dense
from verify import specs
from verify.errors import InvalidInput, ShapeMismatch
from verify.onnx_import.module import from_module
from verify.result import Verdict
from verify.specs.activation import relu_inputs

RNG = np.random.default_rng(0)


def trained() -> nn.Sequential:
    """Two clusters, a few steps of training: classes with patterns of their own."""
    net = dense(2, 8, 6, 2)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(400, 2, generator=generator) * 0.5 + torch.tensor([[1.0, 1.0], [-1.0, -1.0]]).repeat(200, 1)
    y = torch.tensor([0, 1]).repeat(200)
    optimiser = torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimiser.step()
    return net


NET = trained()
SAMPLES = np.concatenate([RNG.normal(1, 0.5, (200, 2)), RNG.normal(-1, 0.5, (200, 2))])


def hidden(points):
    """Values before the two ReLU layers."""
    with torch.no_grad():
        net = NET.double()
        x = torch.from_numpy(points)
        first = net[0](x)
        second = net[2](first.relu())
    NET.float()
    return np.concatenate([first.numpy(), second.numpy()], 1)


def follows(points, pattern):
    states = np.concatenate([s.reshape(-1) for _, s in pattern.layers])
    return ((states == 0) | (states * hidden(points) >= 0)).all(1)


@pytest.mark.parametrize("share", [1.0, 0.9])
def test_mined_patterns_dominate(share):
    pattern = specs.mine(NET, SAMPLES, 0, share)
    own = hidden(SAMPLES[classes(NET, SAMPLES) == 0]) > 0
    NET.float()
    states = np.concatenate([s.reshape(-1) for _, s in pattern.layers])
    assert pattern.fixed > 0 and pattern.outputs == 14
    assert ((states == 1) == (own.mean(0) >= share)).all() and ((states == -1) == ((~own).mean(0) >= share)).all()


@pytest.mark.parametrize("share", [1.0, 0.8])
@pytest.mark.parametrize("reach", [1.0, 3.0])
def test_agree_with_samples_in_the_pattern(share, reach):
    pattern = specs.mine(NET, SAMPLES, 0, share)
    points = RNG.uniform(-reach, reach, (20000, 2))
    inside = points[follows(points, pattern)]
    unsafe = classes(NET, inside) != 0
    region = specs.within_pattern(specs.box([-reach] * 2, [reach] * 2), pattern)
    result = check(specs.ask(NET.float(), region, specs.classified(0)), unsafe)
    assert result.verdict is not Verdict.UNKNOWN and not (unsafe.any() and result.verdict is Verdict.VERIFIED)
    if result.witness is not None:
        states = np.concatenate([s.reshape(-1) for _, s in pattern.layers])
        assert (states * result.witness.y[2:] >= 0).all()


def test_the_pattern_is_what_makes_it_safe():
    pattern = specs.mine(NET, SAMPLES, 0, 0.9)
    box = specs.box([-3.0] * 2, [3.0] * 2)
    assert specs.ask(NET, box, specs.classified(0)).solve(timeout=10).verdict is Verdict.FALSIFIED
    within = specs.within_pattern(box, pattern)
    assert specs.ask(NET, within, specs.classified(0)).solve(timeout=10).verdict is Verdict.VERIFIED


def test_with_a_ball_and_one_layer():
    """A pattern is one more premise of any region; the layers can be chosen."""
    (first, _) = relu_inputs(from_module(NET, input_shape=(1, 2)))
    pattern = specs.mine(NET, SAMPLES, 1, 1.0, layers=[first])
    assert pattern.outputs == 8
    for ball in (specs.l1_ball, specs.l2_ball):
        region = specs.within_pattern(ball([-1.0, -1.0], 0.75), pattern)
        question = specs.ask(NET, region, specs.classified(1))
        assert question.spec.outputs == 2 + 8 + (ball is specs.l1_ball)
        points = np.array([-1.0, -1.0]) + RNG.uniform(-0.375, 0.375, (2000, 2))
        inside = points[(hidden(points)[:, :8] * pattern.layers[0][1].reshape(-1) >= 0).all(1)]
        check(question, classes(NET, inside) != 1)
        NET.float()


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: specs.mine(NET, SAMPLES, 0, layers=["conv9"]), InvalidInput, "has no ReLU layer 'conv9'; the layers are"),
    (lambda: specs.mine(NET, SAMPLES, 0, 0.5), InvalidInput, "share must be above 0.5"),
    (lambda: specs.mine(from_module(NET, input_shape=(1, 2)), SAMPLES[:, :1], 0), ShapeMismatch,
     "a sample has 1 entries, the model takes 2"),
    (lambda: specs.mine(from_module(NET, input_shape=(1, 2)), SAMPLES, 5), InvalidInput, "label 5 is out of range"),
    (lambda: specs.mine(NET, SAMPLES[:0], 0), ShapeMismatch, "samples is empty"),
    (lambda: specs.mine(dense(2, 2), SAMPLES, 0), InvalidInput, "has no ReLU layer; activation patterns"),
    (lambda: specs.mine(NET, [[1.0, 1.0]], 1), InvalidInput, "the model gives none of the 1 samples the class 1"),
])
def test_bad_input(make, error, message):
    with pytest.raises(error, match=message):
        make()
