"""What every attack shares: candidates are points where the computed rows look unsafe. Only a replay makes a verdict.
"""

from __future__ import annotations

import torch
from torch import Tensor

from verify.query import Query


def disjunct_margins(rows: Tensor, members: Tensor) -> Tensor:
    """For rows (n, R) and `members` (D, R): the largest row of each disjunct, (n, D).

    Of row values at a point: a value <= 0 means that the point looks unsafe. Of lower bounds of rows: a positive value
    means that the disjunct is empty. A disjunct without rows is always satisfied (-inf)."""
    if not members.shape[1]:
        return rows.new_full((rows.shape[0], members.shape[0]), -torch.inf)
    lowest = rows.new_full((1, 1, 1), -torch.inf)
    return torch.where(members.unsqueeze(0), rows.unsqueeze(1), lowest).amax(2)


def unsafe_points(query: Query, points: Tensor, limit: int = 4) -> Tensor | None:
    """Those of `points` (n, *input shape) whose rows are unsafe in the graph's arithmetic, deepest first; None when
    there is none."""
    with torch.no_grad():
        slack = disjunct_margins(query.graph.evaluate(points.to(query.graph.dtype)), query.members.to(points.device))
    worst = slack.amin(1)
    order = worst.argsort()[:limit]
    found = order[worst[order] <= 0]
    return points[found] if found.numel() else None
