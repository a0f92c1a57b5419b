"""Adversarial training with one gradient step (Wong et al. 2020), step 1.25 eps, kept honest by GradAlign
(Andriushchenko and Flammarion 2020). The cheap trainer of the pruning and grafting papers; their settings.

    python -m training.recipes.fgsm --data digits --arch mlp-2x50 --eps 0.06 --out run
"""

from __future__ import annotations

from types import MappingProxyType

import torch.nn.functional as F
from torch import Tensor

from training.losses.gradalign import misalignment
from training.losses.pgd import attack
from training.step import Step

DEFAULTS = MappingProxyType({
    "optimizer": "sgd", "lr": 1e-2, "momentum": 0.9, "weight_decay": 5e-4, "lr_drops": (0.7, 0.85), "step_size": 1.25,
    "start": "zero", "gradalign": 0.2, "clip_grad": 8.0,
})


def loss(step: Step) -> Tensor:
    settings = step.settings
    point = attack(step.model, step.x, step.y, step.eps, steps=1, size=settings.step_size,
                   random=settings.start == "random")
    total = F.cross_entropy(step.forward(point), step.y)
    if settings.gradalign and step.eps > 0:
        total = total + settings.gradalign * misalignment(step.model, step.x, step.y, step.eps)
    return total


if __name__ == "__main__":
    from training.cli import main

    main("fgsm")
