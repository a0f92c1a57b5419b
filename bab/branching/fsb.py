"""Filtered smart branching (De Palma et al. 2021): bound the children of the best few candidates for real.

Candidates are the best neurons of every layer by each of several cheap scores; for every candidate both children get
one backward pass with the parent's dual variables. Choose the candidate with the largest product of both children's
gains (Achterberg 2007, the product rule of MIP solvers), each gain lifted by a share of what is missing.

Every layer sends candidates because scores of different layers do not compare: with the best eight of all layers, a
256x4 network split little but its last layer and had 20,000 leaves and 10,000 open domains when this rule had closed
the tree with 2,000. The product against the worse child alone: 430 leaves instead of 1,460 on a convolutional network,
and a one-layer network was closed that had been left half open."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

FLOOR = 0.02
"""Gains are lifted by this share of the parent's bound, so that a split that closes one child is not worthless."""


def candidates(scores: tuple[Tensor, ...], splittable: Tensor, layer_of: Tensor, limit: int) -> Tensor:
    """(n, k) neuron indices, k <= limit: of every layer (`layer_of` (u,)) the best of each score among `splittable`
    (n, u), one or as many as the limit allows; if one is too many already, the best of these by the first score.
    Entries may be repeated or not splittable.
    """
    layers = int(layer_of.max()) + 1
    share = max(1, limit // (layers * len(scores)))
    picks = []
    for layer in range(layers):
        mine = (layer_of == layer).nonzero().squeeze(1)
        allowed = splittable[:, mine]
        for score in scores:
            ranked = torch.where(allowed, score[:, mine], torch.full_like(score[:, mine], -torch.inf))
            picks.append(mine[ranked.topk(min(share, mine.numel()), 1).indices])
    found = torch.cat(picks, 1)
    if found.shape[1] <= limit:
        return found
    first = torch.where(splittable, scores[0], torch.full_like(scores[0], -torch.inf)).gather(1, found)
    return found.gather(1, first.topk(limit, 1).indices)


def best_candidate(picks: Tensor, splittable: Tensor, parent: Tensor,
                   child_bounds: Callable[[Tensor, Tensor, int], Tensor]) -> Tensor:
    """(n,) chosen neuron. `parent` (n,): the domains' bounds; `child_bounds(domains, neurons, sign)` bounds the child
    of each listed domain that fixes the listed neuron to `sign`."""
    n, k = picks.shape
    domains = torch.arange(n, device=picks.device).repeat_interleave(k)
    flat = picks.flatten()
    floor = (FLOOR * parent.abs() + 1e-9).unsqueeze(1)
    gains = [(child_bounds(domains, flat, sign).reshape(n, k) - parent.unsqueeze(1)).clamp(min=0) + floor
             for sign in (1, -1)]
    value = gains[0] * gains[1]
    value = torch.where(splittable.gather(1, picks), value, torch.full_like(value, -torch.inf))
    return picks.gather(1, value.nan_to_num(nan=-torch.inf).argmax(1, keepdim=True)).squeeze(1)
