"""Taylor by hand, and what it shares with SNIP."""

from __future__ import annotations

import torch
from torch import nn

from pruning.criteria import snip
from pruning.criteria.base import Context
from pruning.criteria.taylor import score
from pruning.mask import Mask


def test_opposite_changes_do_not_cancel():
    """f = w relu(x) with w = 2 and L = f y: changes are 2 for y = 1 and -2 for y = -1; their mean size is 2."""
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.ReLU(), nn.Linear(1, 1, bias=False))
    model[0].weight.data, model[2].weight.data = torch.full((1, 1), 2.0), torch.ones(1, 1)
    x, y = torch.ones(2, 1), torch.tensor([1.0, -1])
    context = Context(Mask.ones(model), x, y, batch=1, loss=lambda f, y: (f[:, 0] * y).mean())
    assert score(model, context)["0.weight"].tolist() == [[2]]
    together = Context(context.mask, x, y, batch=2, loss=context.loss)
    assert score(model, together)["0.weight"].tolist() == [[0]]


def test_on_one_batch_it_is_snip():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    context = Context(Mask.ones(model), torch.rand(16, 3), torch.randint(2, (16,)))
    torch.testing.assert_close(score(model, context), snip.score(model, context))
