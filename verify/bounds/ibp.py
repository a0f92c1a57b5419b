"""Interval bound propagation (Gowal et al. 2018): the cheapest enclosure, sound, rounded outward."""

from __future__ import annotations

from verify.bounds.walk import Bounds, forward
from verify.graph import Graph
from verify.sets import Interval


def ibp(graph: Graph, box: Interval) -> Bounds:
    """Intervals (n, *shape) of every node for the input box (n, *input shape). Differentiable."""
    return forward(graph, box)
