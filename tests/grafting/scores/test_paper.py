"""Ranks and portions of the paper's criterion."""

from __future__ import annotations

import torch

from grafting.graft import graft
from grafting.scores.paper import GAMMAS, mean_ranks, paper_gradient, paper_magnitude, ranks
from tests.grafting.scores.contexts import context
from tests.grafting.toys import SHAPE


def test_mean_ranks():
    assert mean_ranks(torch.tensor([3.0, 1.0, 3.0, 2.0])).tolist() == [0.875, 0.25, 0.875, 0.5]
    assert mean_ranks(torch.zeros(4)).tolist() == 4 * [0.625] and mean_ranks(torch.zeros(0)).tolist() == []


def test_ranks_are_global_or_of_the_layer_and_leave_lines_out():
    c = context()
    values = {"2": torch.arange(12.0), "4": torch.arange(100.0, 110.0)}
    everywhere = ranks(c, values)
    assert everywhere["4"][0] == 13 / 22 and ranks(context(layerwise=True), values)["4"][0] == 1 / 10
    masks = {"2": torch.arange(12) < 2, "4": torch.zeros(10, dtype=torch.bool)}
    found = ranks(context(graft(c.model, SHAPE, masks, "paper")), values)
    assert found["2"][:3].tolist() == [0, 0, 1 / 20] and found["4"][9] == 1


def test_portions_weigh_instability_less_and_less():
    c = context()
    for score, significance in ((paper_gradient, c.mean_gradient()),
                                (paper_magnitude, c.mean(lambda z: z.clamp(min=0)))):
        found, r_s = score(c), ranks(c, significance)
        r_u = ranks(c, c.stability.unstable)
        assert len(found) == len(GAMMAS) == 4 and torch.equal(found[3]["2"], -r_s["2"])
        assert torch.allclose(found[0]["4"], 2 * r_u["4"] - r_s["4"])
