"""Small pre-activations score high."""

from __future__ import annotations

import torch

from grafting.scores.low_magnitude import low_magnitude
from tests.grafting.scores.contexts import context


def test_order():
    c = context()
    with torch.no_grad():
        c.model[1].weight[5] = 0
        c.model[1].bias[5] = -1e-3  # far from unstable, but small
    (ranking,) = low_magnitude(c)
    assert ranking["2"].argmax() == 5 and abs(ranking["2"][5] + 1e-3) < 1e-8
