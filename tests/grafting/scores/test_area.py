"""The height of the relaxation."""

from __future__ import annotations

import torch

from grafting.scores.area import area
from tests.grafting.scores.contexts import context


def test_measured_around_the_first_images():
    c = context()
    (ranking,) = area(c)
    kind = c.stability.area
    assert all(torch.equal(ranking[name], kind[name]) for name in c.sites) and c.stability.images == 3
    assert (ranking["2"] >= 0).all() and ranking["2"].max() > 0
