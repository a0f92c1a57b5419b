from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from tests.training.test_step import step_of
from training.losses.stability import regulariser, stability
from verify.errors import InvalidInput


def one_neuron(weight: float, bias: float) -> nn.Sequential:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 1), nn.ReLU(), nn.Linear(1, 4))
    with torch.no_grad():
        model[1].weight.zero_()
        model[1].weight[0, 0], model[1].bias[0] = weight, bias
    return model


def prepared(model, **changes):
    step = step_of("standard", model, **{"rs": 1.0, **changes})
    step.x = torch.full_like(step.x, 0.5)
    step.forward(step.x)
    return step


def test_by_hand():
    """z = 3 x_0 - 1.5 on x_0 in [0.4, 0.6]: l u = -0.3 * 0.3; the norm of the row is 3."""
    step = prepared(one_neuron(3.0, -1.5))
    assert float(stability(step, False)) == pytest.approx(-math.tanh(1 - 0.09), abs=1e-5)
    assert float(stability(step, True)) == pytest.approx(-math.tanh(1 - 0.01), abs=1e-5)


def test_the_radius_is_the_final_one():
    early = prepared(one_neuron(3.0, -1.5), progress=0.0, ramp=(0.5, 0.9))
    assert early.eps == 0 and float(stability(early, False)) == pytest.approx(-math.tanh(1 - 0.09), abs=1e-5)


@pytest.mark.parametrize("normalised", [False, True])
def test_scales_get_no_gradient_from_the_normalised_form(normalised):
    step = step_of("standard", rs=1.0)
    step.forward(step.x)
    stability(step, normalised).backward()
    scale, shift = step.model[1].weight.grad, step.model[1].bias.grad
    assert (scale is None or not bool(scale.any())) == normalised and bool(shift.any())
    dense = step.model[5].weight  # no batch normalisation in front of its ReLU
    radial = (dense.grad * dense).sum(1)
    assert bool((radial.abs() < 1e-6).all()) == normalised and bool(dense.grad.any())


def test_normalised_values_do_not_depend_on_the_scale():
    step = prepared(one_neuron(3.0, -1.5))
    before = float(stability(step, True))
    with torch.no_grad():
        step.model[1].weight *= 10
        step.model[1].bias *= 10
    assert float(stability(step, True)) == pytest.approx(before, abs=1e-6)


def test_a_dead_channel_is_no_division_by_zero():
    step = prepared(one_neuron(0.0, -1.0))
    loss = stability(step, True)
    loss.backward()
    assert float(loss) == pytest.approx(-1) and bool(torch.isfinite(step.model[1].weight.grad).all())


def test_weights_add_up_and_training_stabilises():
    step = step_of("standard", rs=0.5, nrs=0.25)
    step.forward(step.x)
    expected = 0.5 * stability(step, False) + 0.25 * stability(step, True)
    assert float(regulariser(step)) == pytest.approx(float(expected), abs=1e-6)
    optimizer, values = torch.optim.SGD(step.model.parameters(), 0.5), []
    for _ in range(20):
        step.forward(step.x)
        loss = regulariser(step)
        values.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert values[-1] < values[0]


def test_without_relus_there_is_nothing_to_stabilise():
    step = step_of("standard", nn.Sequential(nn.Flatten(), nn.Linear(16, 4)), rs=1.0)
    with pytest.raises(InvalidInput, match="no ReLU"):
        step.forward(step.x)
        stability(step, False)
