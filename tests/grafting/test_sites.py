"""Sites are found in every spelling, named stably, observed and exchanged."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from grafting.activation import GraftedReLU
from grafting.sites import exchanged, grafted, observe, relu_sites, trace
from tests.grafting.toys import SHAPE, Functional, conv, images, mlp
from verify.errors import InvalidInput, UnsupportedOperator


def identity(shape) -> GraftedReLU:
    return GraftedReLU(torch.ones(shape, dtype=torch.bool), torch.ones(shape), torch.zeros(shape))


def test_names_and_shapes():
    assert {n: s.shape for n, s in relu_sites(conv(), SHAPE).items()} == {"2": (3, 4, 4), "4": (4, 2, 2), "7": (8,)}
    found = relu_sites(Functional(), SHAPE)
    assert list(found) == ["own", "shared", "shared_1", "relu", "relu_1", "relu_2"]
    assert [s.own_module for s in found.values()] == [True, *5 * [False]] and found["relu"].shape == (6,)


def test_observed_pre_activations():
    model, x, seen = mlp(), images(10), []
    observe(model, {"2": relu_sites(model, SHAPE)["2"]}, x, lambda name, z: seen.append((name, z)), batch=4)
    assert [len(z) for _, z in seen] == [4, 4, 2] and {name for name, _ in seen} == {"2"}
    assert torch.equal(torch.cat([z for _, z in seen]), torch.cat([model[:2](p) for p in x.split(4)]))


@pytest.mark.parametrize("build", [mlp, conv, Functional])
def test_every_site_can_be_exchanged_alone(build):
    """With an identity in one place the function changes, the original does not, and the copy has that site grafted."""
    model, x = build(), images(30)
    before, sites = model(x), relu_sites(model, SHAPE)
    for name, site in sites.items():
        found = exchanged(model, {name: identity(site.shape)}, sites)
        assert torch.equal(model(x), before) and not torch.allclose(found(x), before)
        assert isinstance(found, type(model)) == site.own_module and len(list(grafted(found))) == 1
        assert {n: s.shape for n, s in relu_sites(found, SHAPE).items()} == {n: s.shape for n, s in sites.items()}
    assert torch.equal(exchanged(model, {}, sites)(x), before)


def test_training_flags_stay():
    model = conv().train()
    model[1].eval()
    statistics = model[1].running_mean.clone()
    observe(model, relu_sites(model, SHAPE), images(4), lambda name, z: None)
    assert model.training and not model[1].training and torch.equal(model[1].running_mean, statistics)


class Branches(nn.Module):
    def forward(self, x):
        return x.relu() if x.sum() > 0 else x


def test_refused():
    with pytest.raises(InvalidInput, match="no ReLU"):
        relu_sites(nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), SHAPE)
    with pytest.raises(UnsupportedOperator, match="Branches cannot be traced"):
        trace(Branches())
