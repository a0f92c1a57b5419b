"""Masks: exact ratios, monotone, compared by shape, and what a masked network computes."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from pruning.layers import Scope
from pruning.mask import Mask, check_remaining, tighten
from verify.errors import BrokenInvariant, InvalidInput, ShapeMismatch


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.ReLU(), nn.Flatten(),
                         nn.Linear(96, 5), nn.ReLU(), nn.Linear(5, 3)).eval()


def random_scores(mask: Mask, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.rand(unit.shape, generator=generator) for name, unit in mask.units().items()}


@pytest.mark.parametrize("structured", [False, True])
@pytest.mark.parametrize("scope", ["conv", "all"])
@pytest.mark.parametrize("remaining", [1.0, 0.9, 0.5, 1 / 3])
def test_the_ratio_is_met_exactly(model, structured, scope, remaining):
    mask = Mask.ones(model, Scope(scope), structured)
    n = sum(unit.numel() for unit in mask.units().values())
    after = tighten(mask, random_scores(mask), remaining)
    assert sum(int(unit.sum()) for unit in after.units().values()) == round(remaining * n)
    assert after.remaining == round(remaining * n) / n and after.sparsity == 1 - after.remaining


def test_ties_do_not_change_the_count(model):
    mask = Mask.ones(model)
    ties = {name: torch.ones(unit.shape) for name, unit in mask.units().items()}
    assert tighten(mask, ties, 0.5).kept == round(0.5 * mask.total)


def test_removing_nothing_removes_nothing(model):
    """`scores[-0:]` selects everything and `kthvalue(0)` raises: neither may happen here."""
    mask = Mask.ones(model)
    assert tighten(mask, random_scores(mask), 1.0).kept == mask.total
    half = tighten(mask, random_scores(mask), 0.5)
    again = tighten(half, random_scores(mask, 1), 0.5)
    assert all(torch.equal(half.keep[name], again.keep[name]) for name in half.keep)


def test_schedules_are_nested(model):
    mask = Mask.ones(model)
    for k, remaining in enumerate((0.8, 0.64, 0.2, 0.05)):
        before, mask = mask, tighten(mask, random_scores(mask, k), remaining)
        assert all(not bool((mask.keep[name] & ~before.keep[name]).any()) for name in mask.keep)
    with pytest.raises(InvalidInput, match="must not grow"):
        tighten(mask, random_scores(mask), 0.5)


def test_what_was_pruned_cannot_come_back(model):
    mask = Mask.ones(model)
    half = tighten(mask, random_scores(mask), 0.5)
    with pytest.raises(BrokenInvariant, match="would come back"):
        half.narrowed(mask.units())


def test_the_highest_scores_are_kept_globally_or_per_layer(model):
    mask = Mask.ones(model)
    scores = {"0.weight": torch.arange(36.0).reshape(4, 1, 3, 3), "3.weight": 100 + torch.zeros(6, 4, 3, 3)}
    globally = tighten(mask, scores, 217 / 252)
    assert globally.keep["0.weight"].sum() == 1 and globally.keep["0.weight"].flatten()[35]
    per_layer = tighten(mask, scores, 0.5, per_layer=True)
    assert per_layer.keep["0.weight"].flatten().tolist() == [False] * 18 + [True] * 18
    assert per_layer.keep["3.weight"].sum() == 108


def test_no_layer_is_emptied_unless_asked(model):
    mask = Mask.ones(model, structured=True)
    scores = {"0.weight": torch.zeros(4), "3.weight": torch.ones(6)}
    kept = tighten(mask, scores, 0.5).units()
    assert (kept["0.weight"].sum(), kept["3.weight"].sum()) == (1, 4)
    kept = tighten(mask, scores, 0.5, may_empty=True).units()
    assert (kept["0.weight"].sum(), kept["3.weight"].sum()) == (0, 5)
    with pytest.raises(InvalidInput, match="fewer than one in each of the 2 layers"):
        tighten(mask, scores, 0.1)


def test_a_pruned_channel_is_zero_behind_its_relu(model):
    with torch.no_grad():
        model[1].running_mean.copy_(torch.randn(4))
        model[1].bias.copy_(torch.rand(4) + 1)
        model[3].bias.fill_(3)
    mask = tighten(Mask.ones(model, structured=True), {"0.weight": torch.tensor([1.0, 0, 2, 0]), "3.weight":
                   torch.tensor([3.0, 0, 3, 3, 3, 3])}, 0.7)
    mask.apply(model)
    x = torch.rand(5, 1, 8, 8)
    first, second = model[:3](x), model[:5](x)
    assert not first[:, [1, 3]].any() and first[:, [0, 2]].any()
    assert not second[:, 1].any() and second[:, 0].any()
    assert model[3].bias[1] == 0


def test_masked_weights_stay_zero_through_training(model):
    mask = tighten(Mask.ones(model), random_scores(Mask.ones(model)), 0.3)
    mask.apply(model)
    optimiser = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    for _ in range(3):
        optimiser.zero_grad()
        model(torch.rand(4, 1, 8, 8)).square().sum().backward()
        optimiser.step()
        mask.apply(model)
        assert all(not model.get_parameter(name)[~keep].any() for name, keep in mask.keep.items())


def test_an_overflowed_weight_is_masked_too(model):
    mask = tighten(Mask.ones(model), random_scores(Mask.ones(model)), 0.3)
    model[0].weight.data.fill_(torch.inf)
    mask.apply(model)
    assert not model[0].weight[~mask.keep["0.weight"]].any()


def test_ratios_of_the_pruned_tensors_and_of_the_network(model):
    mask = Mask.ones(model, structured=True)
    scores = {"0.weight": torch.tensor([1.0, 0, 1, 1]), "3.weight": torch.tensor([1.0, 1, 1, 1, 1, 0])}
    mask = tighten(mask, scores, 0.8)
    parameters = sum(value.numel() for value in model.parameters())
    assert mask.kept == 27 + 180 and mask.total == 36 + 216
    assert mask.remaining_of(model) == (parameters - (9 + 3) - (36 + 1)) / parameters


def test_shapes_are_compared_on_every_use(model):
    mask = Mask.ones(model)
    other = copy.deepcopy(model)
    other[0] = nn.Conv2d(1, 5, 3)
    with pytest.raises(ShapeMismatch, match=r"has shape \(4, 1, 3, 3\), but the parameter has \(5, 1, 3, 3\)"):
        mask.apply(other)
    with pytest.raises(InvalidInput, match=r"no parameter '3.weight'"):
        mask.apply(model[:3])
    scores = random_scores(mask)
    with pytest.raises(ShapeMismatch, match=r"scores of '3.weight'"):
        tighten(mask, scores | {"3.weight": torch.ones(6)}, 0.5)
    with pytest.raises(InvalidInput, match="scores are for"):
        tighten(mask, {"0.weight": scores["0.weight"]}, 0.5)
    with pytest.raises(InvalidInput, match="not finite"):
        tighten(mask, scores | {"0.weight": torch.full((4, 1, 3, 3), torch.nan)}, 0.5)


@pytest.mark.parametrize("remaining", [0.0, -0.1, 1.01, float("nan")])
def test_ratios_outside_the_range_are_refused(remaining):
    with pytest.raises(InvalidInput, match=r"outside \(0, 1\]"):
        check_remaining(remaining)


@pytest.mark.parametrize("structured", [False, True])
def test_state_round_trip(model, structured, tmp_path):
    mask = tighten(Mask.ones(model, structured=structured), random_scores(Mask.ones(model, structured=structured)), 0.5)
    torch.save(mask.state(), tmp_path / "mask.pt")
    again = Mask.of_state(torch.load(tmp_path / "mask.pt", weights_only=True))
    assert again.kind == mask.kind and again.along == mask.along
    assert all(torch.equal(again.all()[name], keep) for name, keep in mask.all().items())
