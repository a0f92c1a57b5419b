"""GradAlign (Andriushchenko and Flammarion 2020): 1 - cos(input gradient at x, input gradient at a random point of the
ball). It keeps one-step attacks honest: where the two gradients agree, the loss is locally linear."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.losses.pgd import uniform
from training.step import evaluating


def misalignment(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    """The mean over the batch, a number in [0, 2], with gradients through both input gradients.

    In evaluation mode, as the attack that it accompanies."""
    with evaluating(model):
        gradients = [_input_gradient(model, point, y) for point in (x, uniform(x, eps))]
    return (1 - F.cosine_similarity(*(g.flatten(1) for g in gradients), dim=1, eps=1e-12)).mean()


def _input_gradient(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    x = x.detach().clone().requires_grad_()
    loss = F.cross_entropy(model(x).float(), y, reduction="sum")
    return torch.autograd.grad(loss, x, create_graph=True)[0]
