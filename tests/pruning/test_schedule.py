"""Ratios of the paper, lists, and copies that training does not reach."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pruning.schedule import PRESETS, Rewind, check_ratios, iterative, parse_ratios, restore, saved
from verify.errors import InvalidInput


def test_presets_are_the_papers():
    """Remain ratios as printed there."""
    assert [round(r, 2) for r in PRESETS["paper"]] == [
        0.80, 0.64, 0.51, 0.41, 0.33, 0.26, 0.21, 0.17, 0.13, 0.11, 0.09, 0.07, 0.05, 0.04, 0.04]
    assert [round(r, 2) for r in PRESETS["paper-structured"]] == [
        0.89, 0.79, 0.70, 0.63, 0.56, 0.50, 0.44, 0.39, 0.35, 0.31, 0.28]


def test_parsing():
    assert parse_ratios("0.5,0.25") == (0.5, 0.25)
    assert parse_ratios("0.1") == (0.1,)
    assert parse_ratios("0.5x3") == (0.5, 0.25) == iterative(0.5, 3)
    assert parse_ratios("paper") is PRESETS["paper"]


@pytest.mark.parametrize("text", ["", "half", "0.5;0.25", "0.5x", "axb", "0.5x3x4"])
def test_unreadable_schedules(text):
    with pytest.raises(InvalidInput, match="cannot read the remaining ratios"):
        parse_ratios(text)


@pytest.mark.parametrize(("text", "message"), [("1.5", "outside"), ("0", "outside"), ("-0.5", "outside"),
                                               ("1", "must fall"), ("0.5,0.5", "must fall"), ("0.2,0.5", "must fall"),
                                               ("1.2x3", "rate in"), ("0.2x1", "two rounds"), ("nan", "outside")])
def test_impossible_schedules(text, message):
    with pytest.raises(InvalidInput, match=message):
        parse_ratios(text)


def test_no_round_at_all():
    with pytest.raises(InvalidInput, match="at least one"):
        check_ratios(())


def test_rewinding_by_name():
    for text in ("init", "none", "epoch:8"):
        assert str(Rewind.parse(text)) == text
    assert Rewind.parse("epoch:8") == Rewind("epoch", 8)
    for text in ("start", "epoch", "epoch:", "epoch:0", "epoch:-1", "epoch:x", "init:3"):
        with pytest.raises(InvalidInput, match="init, none, or epoch:K"):
            Rewind.parse(text)


@pytest.mark.parametrize("optimiser", [torch.optim.SGD, torch.optim.Adam])
def test_training_does_not_reach_what_was_saved(optimiser):
    """`state_dict()` alone follows the weights, and a rewind to it is none."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    state, first = saved(model), [value.detach().clone() for value in model.state_dict().values()]
    steps = optimiser(model.parameters(), 0.1)
    model(torch.rand(8, 3)).square().sum().backward()
    steps.step()
    assert all(torch.equal(value, old) for value, old in zip(state.values(), first, strict=True))
    assert not torch.equal(model[0].weight, state["0.weight"]) and not torch.equal(model[1].running_mean, first[4])
    restore(model, state)
    assert all(torch.equal(value, old) for value, old in zip(model.state_dict().values(), first, strict=True))
    with torch.no_grad():
        model[0].weight.add_(1)
    assert torch.equal(state["0.weight"], first[0]), "restoring copies, too"


def test_states_of_other_networks():
    with pytest.raises(InvalidInput, match="do not fit"):
        restore(nn.Linear(2, 3), saved(nn.Linear(3, 2)))
