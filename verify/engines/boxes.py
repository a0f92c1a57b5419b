"""Many input boxes at once: CROWN bounds of the outputs, batched over the boxes of a property.

Index-like properties consist of hundreds or thousands of small boxes with an interval for the output each. One batched
backward pass settles most of them; an engine then gets the few that are left. Sound: rigorous bounds of the outputs,
and the rows of each disjunct evaluated on them with their rounding charged. Reference: CROWN (Zhang et al. 2018).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch

from verify.bounds.crown import crown
from verify.bounds.ibp import ibp
from verify.bounds.walk import charges, identity_rows
from verify.budget import Budget
from verify.graph import Graph
from verify.query import Case, LinearConstraint
from verify.sets import Interval, entries

BATCH = 256
MOST_OUTPUTS = 64
ULPS = 16 * 2.0**-53
TINY, HUGE = 1e-200, 1e200


def settle_boxes(graph: Graph, cases: Sequence[Case], budget: Budget) -> list[float]:
    """A rigorous margin per case: positive if it is proved, -inf where nothing was computed.

    `graph` is the network, without a property's rows; cases with an empty box get -inf.
    """
    margins = [-math.inf] * len(cases)
    if math.prod(graph[graph.output].shape) > MOST_OUTPUTS:
        return margins
    wanted = [k for k, case in enumerate(cases) if case.box.empty is None]
    for start in range(0, len(wanted), BATCH):
        if budget.expired:
            break
        part = wanted[start : start + BATCH]
        for k, (low, high) in zip(part, _output_ranges(graph, [cases[k] for k in part]), strict=True):
            margins[k] = _margin(cases[k], low, high)
    return margins


@torch.no_grad()
def _output_ranges(graph: Graph, cases: list[Case]) -> Iterator[tuple[list[float], list[float]]]:
    """Lower and upper bounds of all outputs, per case."""
    boxes = [case.box.interval(graph.input.shape, graph.device, graph.dtype) for case in cases]
    box = Interval(torch.cat([b.lower for b in boxes]), torch.cat([b.upper for b in boxes]))
    hull = Interval(box.lower.amin(0, keepdim=True), box.upper.amax(0, keepdim=True))
    shape = graph[graph.output].shape
    size = math.prod(shape)
    rows = identity_rows(shape, torch.arange(size, device=box.lower.device), (1.0, -1.0), box.lower)
    bound, known = crown(graph, box, rows, charges=charges(graph, ibp(graph, hull)))
    output = known[graph.output]
    low = torch.fmax(bound[:, :size], entries(output.lower, 1)).double()
    high = torch.fmin(-bound[:, size:], entries(output.upper, 1)).double()
    return zip(low.tolist(), high.tolist(), strict=True)


def _margin(case: Case, low: list[float], high: list[float]) -> float:
    """The least over the disjuncts of their best row's lower bound."""
    return min((max((_row_lower(h, case, low, high) for h in disjunct), default=-math.inf)
                for disjunct in case.disjuncts), default=math.inf)


def _row_lower(h: LinearConstraint, case: Case, low: list[float], high: list[float]) -> float:
    weights = [c for _, c in (*h.y, *h.x)] + [h.constant]
    if any(index >= len(low) for index, _ in h.y):
        return -math.inf  # a monomial; the graph of the query computes it, the network's does not
    if any(c != 0 and not TINY < abs(c) < HUGE for c in weights):
        return -math.inf  # an exact number that float64 cannot hold
    terms = [float(h.constant)]
    for index, c in h.y:
        terms.append(float(c) * (low if c > 0 else high)[index])
    for index, c in h.x:
        terms.append(float(c) * float((case.box.lower if c > 0 else case.box.upper)[index]))
    # Conversions, products and the sum round at most a few times per term.
    value = sum(terms) - ULPS * len(terms) * sum(abs(t) for t in terms)
    return value if math.isfinite(value) else -math.inf
