"""The share of images around which a neuron is unstable."""

from __future__ import annotations

import torch

from grafting.scores.instability import instability
from tests.grafting.scores.contexts import context


def test_measured_around_the_first_images():
    c = context()
    (ranking,) = instability(c)
    kind = c.stability.unstable
    assert all(torch.equal(ranking[name], kind[name]) for name in c.sites) and c.stability.images == 3
    assert (ranking["2"] >= 0).all() and ranking["2"].max() > 0
