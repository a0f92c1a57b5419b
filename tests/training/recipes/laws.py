"""What every recipe must satisfy; each recipe's own test file runs these and what is special about it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tests.training.test_step import step_of
from training.settings import recipe_module


def check_laws(recipe: str, passes: int = 1) -> None:
    """The loss is a number with gradients all along the schedule; without a radius it is the standard one; running
    statistics move once for each of its `passes` in training mode."""
    loss_of = recipe_module(recipe).loss
    for progress in (0.0, 0.3, 1.0):
        step = step_of(recipe, progress=progress)
        loss = loss_of(step)
        loss.backward()
        assert loss.dim() == 0 and bool(torch.isfinite(loss)) and step.logits.shape == (12, 4)
        assert any(bool(parameter.grad.any()) for parameter in step.model.parameters())
        assert int(step.model[1].num_batches_tracked) == passes
    step = step_of(recipe, eps=0.0)
    step.model[3].eval()
    assert loss_of(step).item() == pytest.approx(F.cross_entropy(step.model(step.x), step.y).item(), abs=1e-5)


def value(recipe: str, **changes) -> float:
    """The loss in evaluation mode, where recipes can be compared."""
    step = step_of(recipe, **changes)
    step.model.eval()
    torch.manual_seed(0)
    return recipe_module(recipe).loss(step).item()
