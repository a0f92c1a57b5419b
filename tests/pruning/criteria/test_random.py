"""Random scores: uniform, by seed, and the same order in every round."""

from __future__ import annotations

import torch
from torch import nn

from pruning.criteria.base import Context
from pruning.criteria.random import score
from pruning.mask import Mask, tighten

MODEL = nn.Sequential(nn.Linear(30, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 2))
X, Y = torch.zeros(1, 30), torch.zeros(1, dtype=torch.long)


def test_uniform_and_fixed_by_the_seed():
    mask = Mask.ones(MODEL)
    first, again, other = (score(MODEL, Context(mask, X, Y, seed=seed)) for seed in (0, 0, 1))
    values = torch.cat([value.flatten() for value in first.values()])
    assert values.min() >= 0 and values.max() < 1 and abs(values.mean() - 0.5) < 0.02
    assert torch.equal(first["2.weight"], again["2.weight"]) and not torch.equal(first["2.weight"], other["2.weight"])


def test_rounds_follow_one_order():
    mask = Mask.ones(MODEL)
    at_once = tighten(mask, score(MODEL, Context(mask, X, Y)), 0.25)
    for remaining in (0.5, 0.25):
        mask = tighten(mask, score(MODEL, Context(mask, X, Y)), remaining)
    assert all(torch.equal(mask.keep[name], at_once.keep[name]) for name in mask.keep)
