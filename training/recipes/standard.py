"""Standard training: cross-entropy on the images as they are. The recipe to copy.

    python -m training.recipes.standard --data digits --arch mlp-2x50 --out run
"""

from __future__ import annotations

from types import MappingProxyType

import torch.nn.functional as F
from torch import Tensor

from training.step import Step

DEFAULTS = MappingProxyType({"optimizer": "adam", "lr": 1e-3, "lr_drops": (0.7, 0.9)})


def loss(step: Step) -> Tensor:
    return F.cross_entropy(step.forward(step.x), step.y)


if __name__ == "__main__":
    from training.cli import main

    main("standard")
