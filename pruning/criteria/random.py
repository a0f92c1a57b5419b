"""Random scores: the control that every other criterion has to beat at the same ratio."""

from __future__ import annotations

import torch
from torch import nn

from pruning.criteria.base import Context, Criterion, Scores


def score(model: nn.Module, context: Context) -> Scores:
    """Uniform scores, fixed by the seed: the same order in every round, so that a schedule is one random order."""
    generator = torch.Generator().manual_seed(context.seed)
    return {name: torch.rand(unit.shape, generator=generator) for name, unit in context.mask.units().items()}


CRITERION = Criterion("random", ("weight", "channel"), score)
