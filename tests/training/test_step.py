from __future__ import annotations

from functools import cache

import torch

from tests.training.toy import conv, patterns
from training.settings import settings_for
from training.step import Step, evaluating, no_autocast
from verify.live import LiveNetwork


def step_of(recipe: str, model=None, progress: float = 1.0, **changes) -> Step:
    """The first images of the toy data on their way through a recipe."""
    model = conv() if model is None else model
    data = patterns()
    settings = settings_for(recipe, **{"eps": 0.1, "device": "cpu", **changes})
    network = cache(lambda: LiveNetwork(model, data.input_shape))
    return Step(model.train(), data.x_train[:12], data.y_train[:12], settings, progress, network)


def test_boxes_are_clipped_to_the_pixel_range():
    step = step_of("ibp")
    box = step.box(0.1)
    assert box.lower.shape == (12, 1, 1, 4, 4) and float(box.lower.min()) == 0
    x = step.x.unsqueeze(1)
    assert bool((box.lower <= x).all() and (x <= box.upper).all() and (box.upper - box.lower <= 0.2001).all())


def test_batch_statistics_are_kept_where_bounds_need_them():
    step = step_of("ibp")
    step.forward(step.x)
    mean, variance = step.statistics["1"]
    values = step.model[0](step.x)
    assert torch.allclose(mean, values.mean((0, 2, 3)), atol=1e-6) and mean.requires_grad
    assert torch.allclose(variance, values.var((0, 2, 3), correction=0), atol=1e-6)
    plain = step_of("standard")
    plain.forward(plain.x)
    assert plain.statistics == {} and plain.logits.shape == (12, 4)


def test_schedules_are_read():
    step = step_of("crown-ibp", progress=0.5, ramp=(0.0, 1.0), ramp_shape="linear", kappa=(1.0, 0.0))
    assert (step.eps, step.kappa, step.beta) == (0.05, 0.5, 0.5)


def test_evaluation_mode_is_for_the_moment():
    model = conv().train()
    model[3].eval()
    before = [module.training for module in model.modules()]
    with evaluating(model):
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == before


def test_autocast_can_be_turned_off():
    with torch.autocast("cpu", torch.bfloat16):
        assert (torch.rand(2, 2) @ torch.rand(2, 2)).dtype == torch.bfloat16
        with no_autocast(torch.device("cpu")):
            assert (torch.rand(2, 2) @ torch.rand(2, 2)).dtype == torch.float32
