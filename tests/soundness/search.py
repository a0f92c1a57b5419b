"""Points of boxes at which a network is small: samples, corners, and signed gradient descent on every row."""

from __future__ import annotations

import torch
from torch import Tensor

from verify.graph import Graph
from verify.sets import Interval, entries


def spread_points(box: Interval, count: int, generator: torch.Generator) -> Tensor:
    """(n, count, *shape): uniform points, corners, points of faces; both ends first."""
    low, high = box.lower.double().unsqueeze(1), box.upper.double().unsqueeze(1)
    share = torch.rand(low.shape[0], count, *low.shape[2:], generator=generator, dtype=torch.float64)
    share[:, ::3] = share[:, ::3].round()
    share[:, 1::3] = (3 * share[:, 1::3] - 1).clamp(0, 1)
    share[:, 0], share[:, 1] = 0.0, 1.0
    return (low + share * (high - low)).maximum(low).minimum(high)


def descended(graph: Graph, box: Interval, starts: Tensor, rows: Tensor, steps: int) -> Tensor:
    """For every row (r, *output shape) and box the best of `starts` (n, k, *shape), moved downhill: the points of all
    steps, (n, r (steps + 1), *shape). Where the network has no value nothing moves."""
    low, high = box.lower.double().unsqueeze(1), box.upper.double().unsqueeze(1)
    n, r, flat = low.shape[0], rows.shape[0], rows.double().reshape(len(rows), -1)

    def values(x: Tensor) -> Tensor:
        return (entries(graph.evaluate(x.flatten(0, 1)), 1) @ flat.T).reshape(n, -1, r)

    best = values(starts).nan_to_num(nan=torch.inf).argmin(1)
    x = torch.stack([starts[k, best[k]] for k in range(n)])
    found = [x]
    for step in range(steps):
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            total = values(x).diagonal(dim1=1, dim2=2).sum()
            (gradient,) = torch.autograd.grad(total, x) if total.requires_grad else (torch.zeros_like(x),)
        rate = 0.5 * 0.7**step
        direction = gradient.nan_to_num(nan=0.0).sign()
        x = (x.detach() - rate * (high - low) * direction).maximum(low).minimum(high)
        found.append(x)
    return torch.cat(found, 1)
