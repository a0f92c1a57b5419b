"""Every recipe: its loss is a finite number with gradients, and means what it says in the limits."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tests.training.test_step import step_of
from training.settings import RECIPES, recipe_module


@pytest.mark.parametrize("progress", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("recipe", RECIPES)
def test_losses_are_numbers_with_gradients(recipe, progress):
    step = step_of(recipe, progress=progress)
    loss = recipe_module(recipe).loss(step)
    loss.backward()
    assert loss.dim() == 0 and bool(torch.isfinite(loss)) and step.logits.shape == (12, 4)
    assert any(bool(parameter.grad.any()) for parameter in step.model.parameters())


@pytest.mark.parametrize("recipe", RECIPES)
def test_without_a_radius_every_recipe_is_standard_training(recipe):
    step = step_of(recipe, eps=0.0)
    step.model[3].eval()
    loss = recipe_module(recipe).loss(step)
    assert float(loss) == pytest.approx(float(F.cross_entropy(step.model(step.x), step.y)), abs=1e-5)


@pytest.mark.parametrize("recipe", ["fgsm", "pgd-at", "trades", "ibp", "crown-ibp"])
def test_running_statistics_move_once_per_training_pass(recipe):
    step = step_of(recipe)
    recipe_module(recipe).loss(step)
    assert int(step.model[1].num_batches_tracked) == (2 if recipe == "trades" else 1)


def test_certified_losses_are_above_the_attacked_ones():
    torch.manual_seed(0)
    losses = {}
    for recipe in ("pgd-at", "ibp", "crown-ibp"):
        step = step_of(recipe, kappa=(0.0, 0.0))
        step.model.eval()
        losses[recipe] = float(recipe_module(recipe).loss(step))
    assert losses["pgd-at"] <= losses["ibp"] and losses["pgd-at"] <= losses["crown-ibp"]
