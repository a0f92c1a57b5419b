"""The numbers that scores are made of, against autograd and plain loops."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from grafting.graft import graft
from grafting.scores import Context
from tests.grafting.scores.contexts import context
from tests.grafting.toys import SHAPE, images, mlp
from verify.errors import InvalidInput, ShapeMismatch


def test_means_and_gradients():
    c = context()
    z = c.model[:2](c.x)
    assert torch.allclose(c.mean(lambda z: z.abs())["2"], z.abs().double().mean(0), atol=1e-6)
    hidden = z.relu().detach().requires_grad_()
    F.cross_entropy(c.model[3:](hidden), c.y, reduction="sum").backward()
    assert torch.allclose(c.mean_gradient()["2"], hidden.grad.abs().double().mean(0), atol=1e-7)
    assert all(p.grad is None for p in c.model[0].parameters())


def test_gradients_of_frozen_and_of_grafted_models():
    model = mlp()
    wanted = context(model).mean_gradient()
    for p in model.parameters():
        p.requires_grad_(False)
    masks = {name: torch.zeros(site.shape, dtype=torch.bool) for name, site in context(model).sites.items()}
    masks["2"][0] = True
    for changed in (model, graft(model, SHAPE, masks, "paper")):
        found = context(changed).mean_gradient()
        assert found.keys() == wanted.keys() and all(v.abs().sum() > 0 for v in found.values())
    assert torch.allclose(context(model).mean_gradient()["4"], wanted["4"])


def test_residuals_are_those_of_least_squares():
    c = context()
    z = c.model[:2](c.x).double()
    for k, error in enumerate(c.residual()["2"]):
        design = torch.stack([z[:, k], torch.ones(len(z), dtype=torch.float64)], 1)
        wanted = torch.linalg.lstsq(design, z[:, k].relu()).solution
        assert abs(error - (z[:, k].relu() - design @ wanted).square().mean()) < 1e-9


def test_refused():
    x = images(3)
    with pytest.raises(ShapeMismatch, match=r"images \(n, 1, 4, 4\) .* 2 labels"):
        Context(mlp(), SHAPE, x, torch.zeros(2), 0.1)
    with pytest.raises(ShapeMismatch):
        Context(mlp(), SHAPE, x[:0], torch.zeros(0), 0.1)
    with pytest.raises(InvalidInput, match="eps"):
        Context(mlp(), SHAPE, x, torch.zeros(3), -0.1)
