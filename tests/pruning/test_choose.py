"""One decision: steps of a criterion, and what is refused before any work."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pruning.choose import check, choose
from pruning.criteria import Context
from pruning.layers import Scope
from pruning.mask import Mask
from pruning.plan import Plan
from verify.errors import InvalidInput


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 200), nn.ReLU(), nn.Linear(200, 8), nn.ReLU(),
                         nn.Linear(8, 2))


def context(model: nn.Module, remaining: float, **changes) -> Context:
    return Context(changes.pop("mask", Mask.ones(model)), torch.rand(4, 8), torch.zeros(4, dtype=torch.long),
                   remaining=remaining, **changes)


def test_synflow_takes_its_steps():
    """In one step at 2 % a layer would be left with the single weight that `tighten` protects."""
    model = network()
    mask = choose(model, context(model, 0.02), Plan("synflow", (0.02,)))
    assert mask.kept == round(0.02 * mask.total)
    assert min(int(keep.sum()) for keep in mask.keep.values()) > 1


def test_criteria_that_rank_within_layers_meet_the_ratio_in_each():
    model = network()
    mask = choose(model, context(model, 0.25, epochs=1), Plan("hydra", (0.25,)))
    assert [int(keep.sum()) for keep in mask.keep.values()] == [16, 400, 400]


def test_rounds_shrink_the_mask():
    model = network()
    first = choose(model, context(model, 0.5), Plan("magnitude"))
    second = choose(model, context(model, 0.25, mask=first), Plan("magnitude"))
    assert all(not bool((second.keep[name] & ~first.keep[name]).any()) for name in first.keep)
    with pytest.raises(InvalidInput, match="asks for more than"):
        choose(model, context(model, 0.6, mask=first), Plan("magnitude"))


def test_a_dense_mask_or_a_refusal():
    model = network()
    assert check(model, Plan("magnitude", (0.5,))).remaining == 1
    for plan, message in ((Plan("best"), "unknown criterion"), (Plan("nrs"), "not weights"),
                          (Plan("random", (0.5, 0.6)), "must fall"), (Plan("random", scope="some"), "unknown scope"),
                          (Plan("random", (0.0005,)), "fewer than one"), (Plan("random", (1.5,)), "outside")):
        with pytest.raises(InvalidInput, match=message):
            check(model, plan)


def test_scopes_reach_the_mask():
    assert set(check(network(), Plan(exclude_first=True)).keep) == {"2.weight", "4.weight"}
    every = {"0.weight", "2.weight", "4.weight"}
    assert set(check(network(), Plan(structured=True, criterion="random")).along) == every
    assert set(Mask.ones(network(), Scope("all")).keep) == every
