"""What every score must satisfy."""

from __future__ import annotations

import pytest
import torch

from grafting.scores import SCORES
from tests.grafting.scores.contexts import context
from tests.grafting.toys import SHAPE, Functional, conv, mlp


@pytest.mark.parametrize("build", [mlp, conv, Functional])
@pytest.mark.parametrize("score", SCORES)
def test_scores_are_finite_fit_the_sites_and_repeat(score, build):
    c = context(build())
    first, again = SCORES[score](c), SCORES[score](context(build()))
    assert len(first) in (1, 4) and c.input_shape == SHAPE
    for ranking, same in zip(first, again, strict=True):
        assert {n: tuple(v.shape) for n, v in ranking.items()} == {n: s.shape for n, s in c.sites.items()}
        assert all(torch.isfinite(v).all() and torch.equal(v, same[n]) for n, v in ranking.items())
