"""Root bounds of networks that are too large to be collapsed: CROWN and alpha-CROWN on the graph itself.

The collapsed network keeps a row for every unstable neuron; attention over many tokens or wide images have too many.
The graph walk needs memory for one chunk of rows only. Intermediate bounds by CROWN, then the rows of the disjuncts
that are open with slopes, tangents and planes optimised, while time is left. Sound, incomplete.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from verify.bounds.alpha import optimise_rows
from verify.bounds.crown import KnownLines, chunk_rows, crown_bounds, output_form
from verify.bounds.root import Root
from verify.bounds.walk import Bounds, GrowingCharges
from verify.budget import Budget
from verify.engines.base import closed_disjuncts
from verify.query import Query
from verify.relaxations import CROWN

ITERATIONS = 20
ALPHA_SHARE = 0.5
"""Of the time that is left after CROWN, what optimising the rows may take; the attack has the rest."""


@dataclass(frozen=True, eq=False)
class GraphRows:
    """CROWN on the graph: `bounds` of all nodes with their `charges`, and rigorous lower bounds `lower` (r,) of the
    property's rows."""

    bounds: Bounds
    charges: GrowingCharges
    lower: Tensor


@torch.no_grad()
def crown_rows(query: Query, budget: Budget) -> GraphRows:
    """CROWN bounds of the property's rows, node by node. Raises `TimeoutError` between nodes."""
    graph, box = query.graph, query.interval()
    lines: KnownLines = {}
    known: Bounds = {}
    charges = GrowingCharges(graph, known)
    crown_bounds(graph, box, CROWN, charges, lines=lines, into=known, expired=lambda: budget.expired)
    rows = torch.eye(query.rows, dtype=graph.dtype, device=graph.device).unsqueeze(0)
    lower = output_form(graph, known, rows, CROWN, charges, lines).minimum(box)[0]
    return GraphRows(known, charges, torch.fmax(lower, known[graph.output].lower.flatten()))


def graph_root(query: Query, budget: Budget) -> tuple[Root, Tensor]:
    """The root's bounds (no collapsed network) and the margins (D,) of the disjuncts. Raises `TimeoutError`."""
    graph, found = query.graph, crown_rows(query, budget)
    lower, members = found.lower.clone(), query.members.to(found.lower.device)
    margins = closed_disjuncts(lower, members)
    open_rows = (members[~(margins > 0)].any(0) & ~(lower > 0)).nonzero().squeeze(1)
    limit = budget.slice(ALPHA_SHARE * budget.remaining)
    rows = torch.eye(query.rows, dtype=graph.dtype, device=graph.device).unsqueeze(0)
    chunk = max(1, chunk_rows(graph, 1, max(1, open_rows.numel())) // 4)
    for part in open_rows.split(chunk) if open_rows.numel() else ():
        if limit.expired:
            break
        better, _ = optimise_rows(graph, query.interval(), graph.output, rows[:, part], found.bounds, ITERATIONS,
                                  charges=found.charges, expired=lambda: limit.expired)
        lower[part] = torch.fmax(lower[part], better[0])
    return Root(found.bounds, None, lower), closed_disjuncts(lower, members)
