from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tests.training.toy import conv, patterns
from training.losses.pgd import attack, uniform


@pytest.mark.parametrize("random", [False, True])
def test_points_stay_in_the_ball_and_the_pixel_range_and_raise_the_loss(random):
    model, data = conv().eval(), patterns()
    x, y = data.x_train[:20], data.y_train[:20]
    point = attack(model, x, y, 0.1, steps=5, size=0.4, random=random)
    assert float((point - x).abs().max()) <= 0.1 + 1e-6 and float(point.min()) >= 0 and float(point.max()) <= 1
    assert F.cross_entropy(model(point), y) > F.cross_entropy(model(x), y)
    assert not point.requires_grad


def test_the_attack_touches_neither_statistics_nor_gradients():
    model, data = conv().train(), patterns()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    attack(model, data.x_train[:8], data.y_train[:8], 0.1, steps=3, size=0.4, random=True)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters()) and model[1].training


def test_one_step_from_the_image_is_fgsm():
    model, data = conv().eval(), patterns()
    x, y = data.x_train[:8].clone().requires_grad_(), data.y_train[:8]
    (gradient,) = torch.autograd.grad(F.cross_entropy(model(x), y), x)
    expected = (x + 0.05 * gradient.sign()).clamp(0, 1)
    found = attack(model, x.detach(), y, 0.05, steps=1, size=1.25, random=False)
    assert torch.allclose(found, expected, atol=1e-6)


def test_other_objectives_and_starts():
    model, x = conv().eval(), patterns().x_train[:4]
    point = attack(model, x, patterns().y_train[:4], 0.1, steps=1, size=2.0, random=False, begin=x + 0.05,
                   objective=lambda logits: -logits[:, 2].sum())
    assert bool((model(point)[:, 2] <= model(x)[:, 2]).all())


def test_random_points_fill_the_ball():
    x = torch.full((50, 1, 2, 2), 0.5)
    points = uniform(x, 0.2)
    assert 0.3 <= float(points.min()) < 0.32 and 0.68 < float(points.max()) <= 0.7
    assert float(uniform(torch.ones(5, 1, 2, 2), 0.2).max()) <= 1
