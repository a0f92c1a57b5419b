"""The height of the relaxation times the coefficient of the margin."""

from __future__ import annotations

import torch

from grafting.scores.weighted_area import weighted_area
from tests.grafting.scores.contexts import context


def test_measured_around_the_first_images():
    c = context()
    (ranking,) = weighted_area(c)
    kind = c.stability.weighted
    assert all(torch.equal(ranking[name], kind[name]) for name in c.sites) and c.stability.images == 3
    assert (ranking["2"] >= 0).all() and ranking["2"].max() > 0
