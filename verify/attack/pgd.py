"""Projected gradient descent towards the unsafe set, one disjunct per restart.

The loss of a point for its disjunct is the largest of the disjunct's rows plus a share of all positive ones (a
conjunction needs every row at or below 0). Restarts start at random points, corners and the centre; half of them first
drift in a random output direction (output-diversified initialisation, Tashiro et al. 2020). Steps alternate between
sign steps scaled by the box with a decaying rate and Adam. Source: Madry et al. 2018. Neither sound nor complete:
returns points to replay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from verify.attack.base import disjunct_margins
from verify.query import Query
from verify.sets import Interval


@dataclass(frozen=True)
class PgdOptions:
    """`restarts` points of `steps` gradient steps each; the step starts at `rate` of the box radius."""

    restarts: int = 64
    steps: int = 60
    rate: float = 0.25
    decay: float = 0.95
    drift_steps: int = 5


def _starts(box: Interval, count: int, generator: torch.Generator) -> Tensor:
    """Uniform points, every fourth a random corner, the first the centre."""
    points = box.sample(count, generator)
    corner = torch.rand(points.shape, generator=generator).to(points.device) < 0.5
    corners = torch.where(corner, box.lower.expand_as(points), box.upper.expand_as(points))
    points[1::4] = corners[1::4]
    points[0] = box.center[0]
    return points


def pgd(query: Query, box: Interval, options: PgdOptions, generator: torch.Generator,
        expired: Callable[[], bool] = lambda: False, starts: Tensor | None = None) -> Tensor:
    """Points (k, *input shape), the most promising of every restart that looks unsafe, deepest first; k may be 0.

    `box` (1, *input shape) may be a part of the query's box; `starts` replaces the random starting points.
    """
    graph = query.graph
    members = query.members.to(box.lower.device)
    x = _starts(box, options.restarts, generator) if starts is None else starts.clone()
    count = x.shape[0]
    if not members.shape[0]:
        return x[:0]  # nothing is unsafe
    with torch.no_grad():
        slack = disjunct_margins(graph.evaluate(x), members)
        # Half of the restarts take turns over the disjuncts, the others the one they are closest to.
        target = torch.arange(count, device=x.device) % members.shape[0]
        target[::2] = slack[::2].argmin(1)
        mask = members[target]
    radius = (box.upper - box.lower) / 2
    direction = torch.randn(count, members.shape[1], generator=generator, dtype=torch.float64).to(x)
    direction[::2] = 0
    best, best_x = slack.amin(1), x.clone()
    first, second = torch.zeros_like(x), torch.zeros_like(x)
    for step in range(options.steps if bool(members.any()) else 0):
        x.requires_grad_()
        with torch.enable_grad():
            rows = graph.evaluate(x)
            if not rows.requires_grad:
                break  # the rows do not depend on the input
            worst = torch.where(mask, rows, torch.full_like(rows, -torch.inf)).amax(1)
            loss = worst + 0.1 * (rows.clamp(min=0) * mask).sum(1)
            if step < options.drift_steps:
                loss = torch.where(direction.abs().sum(1) > 0, (direction * rows).sum(1), loss)
            (gradient,) = torch.autograd.grad(loss.sum(), x)
        with torch.no_grad():
            slack = disjunct_margins(rows.detach(), members).amin(1)
            better = slack < best
            best = torch.where(better, slack, best)
            best_x = torch.where(better.reshape(-1, *([1] * (x.dim() - 1))), x, best_x)
            if (step % 5 == 4 and bool((best <= 0).any())) or expired():
                break
            rate = options.rate * options.decay**step
            first.mul_(0.9).add_(gradient, alpha=0.1)
            second.mul_(0.99).addcmul_(gradient, gradient, value=0.01)
            smooth = first / (second.sqrt() + 1e-12)
            move = gradient.sign()
            move[1::2] = smooth[1::2].clamp(-2, 2)
            x = torch.minimum(torch.maximum(x.detach() - rate * radius * move, box.lower), box.upper)
    with torch.no_grad():
        slack = disjunct_margins(graph.evaluate(x.detach()), members).amin(1)
        best_x = torch.where((slack < best).reshape(-1, *([1] * (x.dim() - 1))), x.detach(), best_x)
        best = torch.minimum(best, slack)
        order = best.argsort()
        return best_x[order[best[order] <= 0]]
