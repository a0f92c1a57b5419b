"""Random neurons: the control that every other score has to beat."""

from __future__ import annotations

import torch

from grafting.scores.base import Context, Ranking


def random(context: Context) -> tuple[Ranking, ...]:
    """Uniform numbers from the context's seed."""
    generator = torch.Generator().manual_seed(context.seed)
    return ({name: torch.rand(site.shape, generator=generator, dtype=torch.float64)
             for name, site in context.sites.items()},)
