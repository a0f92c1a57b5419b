from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.training.toy import conv, patterns
from training.losses.gradalign import misalignment


def test_input_gradients_of_a_linear_model_are_aligned():
    """d CE / dx = W^T (p - e_y): with two classes its direction does not depend on x."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    x, y = torch.rand(6, 1, 4, 4), torch.tensor([0, 1] * 3)
    assert float(misalignment(model, x, y, 0.3)) == pytest.approx(0, abs=1e-5)


def test_it_is_in_range_and_has_gradients():
    model, data = conv().train(), patterns()
    before = model[1].running_mean.clone()
    found = misalignment(model, data.x_train[:16], data.y_train[:16], 0.5)
    assert 0 < float(found) <= 2
    found.backward()
    assert bool(model[0].weight.grad.abs().sum() > 0) and torch.equal(model[1].running_mean, before)
