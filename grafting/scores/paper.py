"""The criterion of Chen et al. (ICML 2022): unstable and insignificant, gamma r_u - r_s.

r_u: share of images around which the neuron is unstable; r_s: its significance, the mean over images of the absolute
gradient of the loss with respect to the activation, or of the activation itself. Gamma falls through 2, 1.5, 1, 0, and
a quarter of the neurons is taken with each. The paper's own code for this step was not released; how the two numbers
are made comparable is therefore our choice: both are replaced by their rank among all neurons of the network (of their
site when scores are layer-wise) that are no lines yet, ties by their mean rank, divided by the number of neurons.
"""

from __future__ import annotations

import torch
from torch import Tensor

from grafting.graft import already
from grafting.scores.base import Context, Ranking

GAMMAS = (2.0, 1.5, 1.0, 0.0)


def paper_gradient(context: Context) -> tuple[Ranking, ...]:
    """gamma r_u - r_s with the mean absolute activation gradient as significance."""
    return _portions(context, context.mean_gradient())


def paper_magnitude(context: Context) -> tuple[Ranking, ...]:
    """gamma r_u - r_s with the mean absolute activation as significance."""
    return _portions(context, context.mean(lambda z: z.clamp(min=0)))


def _portions(context: Context, significance: Ranking) -> tuple[Ranking, ...]:
    unstable, significant = (ranks(context, r) for r in (context.stability.unstable, significance))
    return tuple({name: gamma * unstable[name] - significant[name] for name in unstable} for gamma in GAMMAS)


def ranks(context: Context, ranking: Ranking) -> Ranking:
    """Ranks in [0, 1] among the neurons that are no lines yet, over all sites or (layer-wise) within each; lines: 0."""
    free = {name: ~already(context.model, site).flatten() for name, site in context.sites.items()}
    flat = {name: value.flatten().double() for name, value in ranking.items()}
    groups = [[name] for name in flat] if context.layerwise else [list(flat)]
    found: Ranking = {}
    for names in groups:
        values = mean_ranks(torch.cat([flat[name][free[name]] for name in names]))
        for name, part in zip(names, values.split([int(free[name].sum()) for name in names]), strict=True):
            full = torch.zeros_like(flat[name])
            full[free[name]] = part
            found[name] = full.reshape(ranking[name].shape)
    return found


def mean_ranks(values: Tensor) -> Tensor:
    """Ranks of (k,) numbers divided by k, from just above 0 to 1, equal numbers sharing their mean rank."""
    _, inverse, counts = torch.unique(values, sorted=True, return_inverse=True, return_counts=True)
    ends = counts.cumsum(0).double()
    return ((ends - (counts - 1) / 2)[inverse]) / max(len(values), 1)
