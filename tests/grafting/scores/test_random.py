"""Random scores depend on the seed alone."""

from __future__ import annotations

import torch

from grafting.scores.random import random
from tests.grafting.scores.contexts import context


def test_seeds():
    scores = [random(context(seed=seed))[0]["2"] for seed in (0, 0, 1)]
    assert torch.equal(scores[0], scores[1]) and not torch.equal(scores[0], scores[2])
