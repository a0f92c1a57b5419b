"""Partners of graphs: the same structure with other weights."""

from __future__ import annotations

from dataclasses import fields, replace

import torch
from torch import Tensor

from verify.graph import Graph
from verify.ops.base import Op
from verify.pairs.couple import WEIGHTED


def disturbed(graph: Graph, size: float = 1e-3, seed: int = 0, only: tuple[str, ...] | None = None) -> Graph:
    """Every weight (of the nodes `only`) times 1 + size N(0, 1)."""
    generator = torch.Generator().manual_seed(seed + 50)

    def moved(op: Op) -> Op:
        changes = {}
        for entry in fields(op):
            value = getattr(op, entry.name)
            if isinstance(value, Tensor) and value.is_floating_point():
                noise = torch.randn(value.shape, generator=generator, dtype=torch.float64)
                changes[entry.name] = value * (1 + size * noise)
        return replace(op, **changes)

    nodes = tuple(replace(node, op=moved(node.op)) if isinstance(node.op, WEIGHTED) and (
        only is None or node.name in only) else node for node in graph.nodes)
    return replace(graph, nodes=nodes)
