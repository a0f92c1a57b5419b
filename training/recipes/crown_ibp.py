"""Certified training with CROWN-IBP and loss fusion (Zhang et al. 2020; Xu et al. 2020): the robust loss is bounded by
CROWN while eps is small, and by IBP alone, which then is tight, when eps has grown: beta = (eps_max - eps) / eps_max.

    python -m training.recipes.crown_ibp --data digits --arch mlp-2x50 --eps 0.06 --out run
"""

from __future__ import annotations

from types import MappingProxyType

import torch.nn.functional as F
from torch import Tensor

from training.losses.crown_ibp import fused
from training.losses.ibp import bounds
from training.step import Step

DEFAULTS = MappingProxyType({
    "optimizer": "adam", "lr": 5e-4, "lr_drops": (0.8, 0.9), "lr_factor": 0.2, "ramp": (0.0, 0.6), "kappa": (1.0, 0.0),
    "clip_grad": 10.0, "epochs": 60,
})


def loss(step: Step) -> Tensor:
    clean = F.cross_entropy(step.forward(step.x), step.y)
    if step.eps == 0:
        return clean
    robust = fused(*bounds(step, step.eps), step.y, step.beta)
    return step.kappa * clean + (1 - step.kappa) * robust if step.kappa > 0 else robust


if __name__ == "__main__":
    from training.cli import main

    main("crown-ibp")
