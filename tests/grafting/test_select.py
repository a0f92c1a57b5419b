"""Quotas, portions, ties, rounds: what is selected is what was asked for."""

from __future__ import annotations

from types import MappingProxyType

import pytest
import torch

import grafting.select as module
from grafting.graft import graft, selected
from grafting.scores import SCORES, Context
from grafting.select import graft_in_rounds, quota, select
from tests.grafting.toys import SHAPE, Functional, conv, images, mlp
from verify.errors import InvalidInput


def context(model, **changes) -> Context:
    x = images(20)
    return Context(model, SHAPE, x, model(x).argmax(1), 0.1, **{"bounds": "crown", "bounded": 3, **changes})


def chosen(selection) -> int:
    return sum(int(mask.sum()) for mask in selection.values())


def fixed(monkeypatch, *rankings) -> None:
    monkeypatch.setattr(module, "SCORES", MappingProxyType({"fixed": lambda context: rankings}))


def test_quota():
    assert [quota(r, 10) for r in (0, 0.05, 0.1, 0.29, 0.3, 0.999999)] == [0, 0, 1, 2, 3, 9]
    assert quota(0.9999999999999, 10) == 9 and quota(0.5, 0) == 0
    for ratio in (-0.1, 1.0, 1.5, float("nan")):
        with pytest.raises(InvalidInput, match="at least 0 and below 1"):
            quota(ratio, 10)


@pytest.mark.parametrize("score", SCORES)
def test_a_ratio_of_zero_selects_nothing_and_half_selects_half(score):
    model = mlp()
    assert chosen(select(context(model), score, 0.0)) == 0
    assert chosen(select(context(model), score, 0.5)) == 11
    each = select(context(model, layerwise=True), score, 0.35)
    assert [int(mask.sum()) for mask in each.values()] == [4, 3]


def test_the_highest_are_taken_and_portions_take_turns(monkeypatch):
    model = mlp()
    low, high = torch.arange(12.0), torch.arange(100.0, 110.0)
    fixed(monkeypatch, {"2": low, "4": high})
    found = select(context(model), "fixed", 0.5)
    assert found["4"].all() and found["2"].nonzero().flatten().tolist() == [11]
    # The second ranking wants neurons that the first one took: it goes on behind them.
    fixed(monkeypatch, {"2": low, "4": high}, {"2": low, "4": high}, {"2": -low, "4": -high})
    found = select(context(model), "fixed", 6 / 22)
    assert found["4"].nonzero().flatten().tolist() == [6, 7, 8, 9] and found["2"].nonzero().flatten().tolist() == [0, 1]


def test_equal_scores_are_ordered_by_the_seed(monkeypatch):
    model = mlp()
    fixed(monkeypatch, {"2": torch.zeros(12), "4": torch.zeros(10)})
    masks = [torch.cat(list(select(context(model, seed=seed), "fixed", 0.5).values())) for seed in (0, 0, 1)]
    assert torch.equal(masks[0], masks[1]) and not torch.equal(masks[0], masks[2])
    assert 0 < int(masks[0][:12].sum()) < 11


def test_lines_stay_and_count(monkeypatch):
    model = mlp()
    first = select(context(model), "random", 0.3)
    changed = graft(model, SHAPE, first, "paper")
    fixed(monkeypatch, {"2": -first["2"].double(), "4": -first["4"].double()})
    second = select(context(changed), "fixed", 0.5)
    assert chosen(second) == 11 and all((second[name] | ~first[name]).all() for name in first)
    assert chosen(select(context(changed), "fixed", 0.1)) == chosen(first)  # a smaller quota takes nothing back


@pytest.mark.parametrize("build", [mlp, conv, Functional])
def test_rounds_grow_to_the_ratio_and_leave_the_model_alone(build):
    model, seen = build(), []
    before, neurons = model(images(5)).detach(), chosen(select(context(model), "random", 0.0))
    changed, rounds = graft_in_rounds(context(model), "instability", 0.5, rounds=3, on_round=seen.append)
    assert torch.equal(model(images(5)), before) and seen == rounds and neurons == 0
    sizes = [mask.numel() for mask in selected(model, SHAPE).values()]
    assert [sum(r.lines.values()) for r in rounds] == [quota(0.5 * k / 3, sum(sizes)) for k in (1, 2, 3)]
    assert chosen(selected(changed, SHAPE)) == quota(0.5, sum(sizes))


def test_refused(monkeypatch):
    model = mlp()
    with pytest.raises(InvalidInput, match="unknown score 'best'; known are paper, "):
        select(context(model), "best", 0.5)
    with pytest.raises(InvalidInput, match="at least one round"):
        graft_in_rounds(context(model), "random", 0.5, rounds=0)
    fixed(monkeypatch, {"2": torch.full((12,), torch.nan), "4": torch.zeros(10)})
    with pytest.raises(InvalidInput, match="not finite"):
        select(context(model), "fixed", 0.5)
