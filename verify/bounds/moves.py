"""Which entry of which value is read: moves (reshape, transpose, gather) are followed back to what they move.

An attention layer multiplies every query with every key: its products read thousands of entries that are copies of a
few hundred. Bounds are computed for these once.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from verify.graph import Graph
from verify.ops import Gather, Reshape, Transpose


def source_of(graph: Graph, name: str) -> tuple[str, Tensor]:
    """The node whose entries `name` moves (itself, if it computes), and for each flat entry of `name` the flat entry of
    that node, int64. Filled entries are no copies: a gather with some is not followed."""
    chain = []
    node = graph[name]
    while isinstance(node.op, (Reshape, Transpose)) or (isinstance(node.op, Gather)
                                                         and bool((node.op.indices >= 0).all())):
        chain.append(node)
        node = graph[node.inputs[0]]
    index = torch.arange(math.prod(node.shape), device=graph.device).reshape(1, *node.shape)
    for move in reversed(chain):
        index = move.op.evaluate(index)
    return node.name, index.reshape(-1)
