"""Filtered smart branching (De Palma et al. 2021): bound the children of the best few candidates for real.

Candidates are the best by two cheap scores, half each; for every candidate both children get one backward pass with the
parent's dual variables. Choose the candidate whose worse child is best."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def candidates(scores: tuple[Tensor, ...], splittable: Tensor, count: int) -> Tensor:
    """(n, k) neuron indices, k <= count * len(scores), the best of each score among `splittable` (n, u); repeated
    entries are possible and harmless."""
    size = min(count, splittable.shape[1])
    picks = [torch.where(splittable, s, torch.full_like(s, -torch.inf)).topk(size, 1).indices for s in scores]
    return torch.cat(picks, 1)


def best_candidate(picks: Tensor, splittable: Tensor, child_bounds: Callable[[Tensor, Tensor, int], Tensor]) -> Tensor:
    """(n,) chosen neuron. `child_bounds(domains, neurons, sign)` bounds the child of each listed domain that fixes the
    listed neuron to `sign`."""
    n, k = picks.shape
    domains = torch.arange(n, device=picks.device).repeat_interleave(k)
    flat = picks.flatten()
    active, inactive = (child_bounds(domains, flat, sign).reshape(n, k) for sign in (1, -1))
    worse, better = torch.minimum(active, inactive), torch.maximum(active, inactive)
    value = worse + 1e-2 * (better - worse).clamp(max=1e6)
    value = torch.where(splittable.gather(1, picks), value, torch.full_like(value, -torch.inf))
    return picks.gather(1, value.nan_to_num(-torch.inf).argmax(1, keepdim=True)).squeeze(1)
