"""Adversarial training with projected gradient descent (Madry et al. 2018).

    python -m training.recipes.pgd_at --data digits --arch mlp-2x50 --eps 0.06 --out run
"""

from __future__ import annotations

from types import MappingProxyType

import torch.nn.functional as F
from torch import Tensor

from training.losses.pgd import attack
from training.step import Step

DEFAULTS = MappingProxyType({
    "optimizer": "sgd", "lr": 1e-2, "momentum": 0.9, "weight_decay": 5e-4, "lr_drops": (0.5, 0.75), "steps": 10,
    "step_size": 0.25, "start": "random", "clip_grad": 8.0,
})


def loss(step: Step) -> Tensor:
    settings = step.settings
    point = attack(step.model, step.x, step.y, step.eps, steps=settings.steps, size=settings.step_size,
                   random=settings.start == "random")
    return F.cross_entropy(step.forward(point), step.y)


if __name__ == "__main__":
    from training.cli import main

    main("pgd-at")
