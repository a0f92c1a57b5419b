"""TRADES (Zhang et al. 2019): the clean loss, plus how much the prediction can change in the ball.

    python -m training.recipes.trades --data digits --arch mlp-2x50 --eps 0.06 --out run
"""

from __future__ import annotations

from types import MappingProxyType

import torch.nn.functional as F
from torch import Tensor

from training.losses.trades import divergence, divergent
from training.step import Step

DEFAULTS = MappingProxyType({
    "optimizer": "sgd", "lr": 1e-2, "momentum": 0.9, "weight_decay": 2e-4, "lr_drops": (0.75,), "steps": 10,
    "step_size": 0.25, "trades_beta": 6.0, "clip_grad": 8.0,
})


def loss(step: Step) -> Tensor:
    settings = step.settings
    point = divergent(step.model, step.x, step.y, step.eps, steps=settings.steps, size=settings.step_size)
    attacked = step.forward(point)
    clean = step.forward(step.x)  # last: accuracy and batch statistics are those of the clean pass
    return F.cross_entropy(clean, step.y) + settings.trades_beta * divergence(attacked, clean)


if __name__ == "__main__":
    from training.cli import main

    main("trades")
