"""What every criterion promises: finite scores of the units' shapes, the same for the same seed, no side effects, and
masks that meet the ratio exactly. And what the registry refuses."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from pruning.criteria import CRITERIA, Context, criterion
from pruning.layers import Scope
from pruning.mask import Mask, tighten
from verify.errors import InvalidInput

CASES = [(name, kind) for name, found in CRITERIA.items() for kind in found.kinds]


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 6, 3, stride=2), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 8, 3, bias=False), nn.BatchNorm2d(8),
        nn.ReLU(), nn.Flatten(), nn.Linear(8, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Linear(7, 3))
    with torch.no_grad():
        model(torch.rand(64, 1, 8, 8))
        for norm in (model[1], model[4], model[8]):
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.uniform_(-0.5, 0.5)
    return model.eval()


def context(model: nn.Module, kind: str, scope: str = "all", mask: Mask | None = None, **changes) -> Context:
    generator = torch.Generator().manual_seed(1)
    x, y = torch.rand(40, 1, 8, 8, generator=generator), torch.randint(3, (40,), generator=generator)
    defaults = {"batch": 16, "eps": 0.05, "remaining": 0.5, "epochs": 2, "x_held": x[:20], "y_held": y[:20]}
    mask = Mask.ones(model, Scope(scope), kind == "channel") if mask is None else mask
    return Context(mask, x, y, **(defaults | changes))


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_scores_fit_and_the_ratio_is_met(name, kind):
    model = network()
    state = copy.deepcopy(model.state_dict())
    given = context(model, kind)
    scores = CRITERIA[name].score(model, given)
    assert {key: value.shape for key, value in scores.items()} == {k: v.shape for k, v in given.mask.units().items()}
    assert all(bool(torch.isfinite(value).all()) and not value.requires_grad for value in scores.values())
    assert max(len(value.unique()) for value in scores.values()) > 1, "a constant score decides nothing"
    units = sum(unit.numel() for unit in given.mask.units().values())
    after = tighten(given.mask, scores, 0.4)
    assert sum(int(unit.sum()) for unit in after.units().values()) == round(0.4 * units)
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items()), "the network was changed"
    assert not model.training and all(value.grad is None for value in model.parameters())


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_scores_are_deterministic(name, kind):
    model = network()
    torch.manual_seed(3)
    first = CRITERIA[name].score(model, context(model, kind))
    torch.manual_seed(4)
    second = CRITERIA[name].score(model, context(model, kind))
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_masked_network_is_scored_as_it_is(name, kind):
    """Weights that are pruned but not yet zero in the model play no part."""
    model = network()
    mask = Mask.ones(model, Scope("all"), kind == "channel")
    mask = tighten(mask, CRITERIA["random"].score(model, context(model, kind)), 0.6)
    zeroed = copy.deepcopy(model)
    mask.apply(zeroed)
    dirty, clean = (CRITERIA[name].score(m, context(m, kind, mask=mask)) for m in (model, zeroed))
    for key, unit in mask.units().items():
        torch.testing.assert_close(dirty[key][unit], clean[key][unit])


@pytest.mark.parametrize("name", ["snip", "taylor", "grasp", "synflow", "hydra"])
def test_gradients_see_the_mode(name):
    """At initialisation batch statistics normalise; both ways give usable scores."""
    model = network()
    scores = CRITERIA[name].score(model, context(model, "weight", batch_statistics=True))
    assert all(bool(torch.isfinite(value).all()) for value in scores.values())


def test_misuse_is_refused_by_name():
    assert criterion("magnitude", "channel").name == "magnitude"
    with pytest.raises(InvalidInput, match="unknown criterion 'weights': one of random, magnitude"):
        criterion("weights", "weight")
    with pytest.raises(InvalidInput, match="'nrs' scores channels, not weights"):
        criterion("nrs", "weight")
    with pytest.raises(InvalidInput, match="'hydra' scores weights, not channels"):
        criterion("hydra", "channel")
