"""Certified training with interval bounds (Gowal et al. 2019): kappa CE(clean) + (1 - kappa) CE(worst margins), while
eps grows. Batch normalisations use the statistics of the clean batch in both terms.

    python -m training.recipes.ibp --data digits --arch mlp-2x50 --eps 0.06 --out run
"""

from __future__ import annotations

from types import MappingProxyType

import torch.nn.functional as F
from torch import Tensor

from training.losses.ibp import bounds, margins, worst_case
from training.step import Step

DEFAULTS = MappingProxyType({
    "optimizer": "adam", "lr": 5e-4, "lr_drops": (0.8, 0.9), "lr_factor": 0.2, "ramp": (0.0, 0.6), "kappa": (1.0, 0.0),
    "clip_grad": 10.0, "epochs": 60,
})


def loss(step: Step) -> Tensor:
    clean = F.cross_entropy(step.forward(step.x), step.y)
    if step.eps == 0:
        return clean
    graph, _, found = bounds(step, step.eps)
    robust = worst_case(margins(graph, found, step.y), step.y)
    return step.kappa * clean + (1 - step.kappa) * robust if step.kappa > 0 else robust


if __name__ == "__main__":
    from training.cli import main

    main("ibp")
