"""Attacks for training: projected gradient ascent in the maximum norm (Madry et al. 2018); one step is FGSM.

The model is attacked in evaluation mode: batch statistics are neither used nor moved.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.step import HIGH, LOW, evaluating


def uniform(x: Tensor, eps: float) -> Tensor:
    """A random point of the ball around each image, clipped to the pixel range."""
    return (x + eps * (2 * torch.rand_like(x) - 1)).clamp_(LOW, HIGH)


def attack(model: nn.Module, x: Tensor, y: Tensor, eps: float, *, steps: int, size: float, random: bool,
           objective: Callable[[Tensor], Tensor] | None = None, begin: Tensor | None = None) -> Tensor:
    """Points (n, c, h, w) within eps of x and in the pixel range that make the loss large.

    `size`: of a step, in units of eps; `objective`: from logits (n, k) to a number, cross-entropy with y by default;
    `begin`: where to start instead of x or a random point.
    """
    lower, upper = (x - eps).clamp(min=LOW), (x + eps).clamp(max=HIGH)
    point = begin if begin is not None else uniform(x, eps) if random else x
    with evaluating(model):
        for _ in range(steps):
            point = point.detach().requires_grad_()
            with torch.enable_grad():
                logits = model(point).float()
                loss = F.cross_entropy(logits, y, reduction="sum") if objective is None else objective(logits)
            (gradient,) = torch.autograd.grad(loss, point)
            point = torch.minimum(torch.maximum(point.detach() + size * eps * gradient.sign(), lower), upper)
    return point.detach()
