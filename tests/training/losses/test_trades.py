from __future__ import annotations

import pytest
import torch

from tests.training.toy import conv, patterns
from training.losses.trades import divergence, divergent


def test_divergence_by_hand():
    """p = (1/2, 1/2), q = (3/4, 1/4): KL = 1/2 log(2/3) + 1/2 log 2 = log(4/3) / 2."""
    q = torch.log(torch.tensor([[0.75, 0.25]]))
    assert float(divergence(q, torch.zeros(1, 2))) == pytest.approx(0.5 * torch.log(torch.tensor(4 / 3)).item())
    assert float(divergence(q, q)) == pytest.approx(0, abs=1e-7)


def test_points_move_the_prediction():
    model, data = conv().eval(), patterns()
    x, y = data.x_train[:16], data.y_train[:16]
    point = divergent(model, x, y, 0.1, steps=5, size=0.3)
    assert float((point - x).abs().max()) <= 0.1 + 1e-6
    assert divergence(model(point), model(x)) > 0


def test_no_radius_no_move():
    model, data = conv().eval(), patterns()
    x, y = data.x_train[:4], data.y_train[:4]
    assert torch.equal(divergent(model, x, y, 0.0, steps=2, size=0.3), x)
