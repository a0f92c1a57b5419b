"""GraSP by hand, and against the change of gradient flow that it predicts."""

from __future__ import annotations

import copy

import torch
from torch import nn

from pruning.criteria.base import Context
from pruning.criteria.grasp import TEMPERATURE, score
from pruning.mask import Mask


def test_two_weights_by_hand():
    """f(x) = 2 x1 - 3 x2, L = (f / T)^2 / 2 at x = (4, 1): with f = 5, g = f x / T^2, H = x x^T / T^2 and
    H g = 17 f x / T^4 = (340, 85) / T^4: scores (680, -255) / T^4."""
    model = nn.Sequential(nn.Linear(2, 1, bias=False), nn.ReLU(), nn.Linear(1, 1, bias=False)).double()
    model[0].weight.data = torch.tensor([[2.0, -3]]).double()
    model[2].weight.data = torch.ones(1, 1).double()
    context = Context(Mask.ones(model), torch.tensor([[4.0, 1]]).double(), torch.zeros(1),
                      loss=lambda f, y: f.square().mean() / 2)
    expected = torch.tensor([[680.0, -255]]).double() / TEMPERATURE**4
    torch.testing.assert_close(score(model, context)["0.weight"], expected)


def test_the_score_is_half_the_change_of_the_gradient_flow():
    """d |g|^2 along -w is -2 w H g, batches put together or not."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    x, y = torch.rand(12, 3, dtype=torch.float64), torch.randint(2, (12,))
    context = Context(Mask.ones(model), x, y, batch=5)
    found = score(model, context)["0.weight"]

    def flow(weight: torch.Tensor) -> float:
        moved = copy.deepcopy(model)
        moved[0].weight.data = weight
        loss = context.loss(moved(x) / TEMPERATURE, y)
        return float(torch.autograd.grad(loss, moved[0].weight)[0].square().sum())

    weight, step = model[0].weight.detach(), 1e-5
    for i, j in ((0, 0), (2, 1), (3, 2)):
        change = torch.zeros_like(weight)
        change[i, j] = step * weight[i, j]
        derivative = (flow(weight + change) - flow(weight - change)) / (2 * step)
        assert abs(derivative / 2 - float(found[i, j])) < 1e-5 * max(abs(float(value)) for value in found.flatten())
