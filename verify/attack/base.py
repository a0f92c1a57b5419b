"""What every attack shares: candidates are points where the computed rows look unsafe. Only a replay makes a verdict.
"""

from __future__ import annotations

import torch
from torch import Tensor

from verify.query import Query


def disjunct_slack(rows: Tensor, members: Tensor) -> Tensor:
    """For row values (n, R) and `members` (D, R): per point and disjunct the largest row, (n, D); a value <= 0 is a
    candidate. A disjunct without rows is always satisfied (-inf)."""
    masked = torch.where(members.unsqueeze(0), rows.unsqueeze(1), torch.full((), -torch.inf, dtype=rows.dtype))
    return masked.amax(2) if members.shape[1] else rows.new_full((rows.shape[0], members.shape[0]), -torch.inf)


def unsafe_points(query: Query, points: Tensor, limit: int = 4) -> Tensor | None:
    """Those of `points` (n, *input shape) whose rows are unsafe in the graph's arithmetic, deepest first; None when
    there is none."""
    with torch.no_grad():
        slack = disjunct_slack(query.graph.evaluate(points.to(query.graph.dtype)), query.members)
    worst = slack.amin(1)
    order = worst.argsort()[:limit]
    found = order[worst[order] <= 0]
    return points[found] if found.numel() else None
