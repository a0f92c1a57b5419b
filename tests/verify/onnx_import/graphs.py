"""Graphs of primitives for the tests of the rewrites."""

from __future__ import annotations

import torch

from verify.graph import Graph, Node
from verify.ops import Input


def chain(shape, *ops) -> Graph:
    """x -> n1 -> n2 ...; an entry (op, names) reads other nodes than the previous one."""
    nodes = [Node("x", Input(tuple(shape)), (), tuple(shape))]
    for k, entry in enumerate(ops, 1):
        op, names = entry if isinstance(entry, tuple) else (entry, (nodes[-1].name,))
        shapes = {node.name: node.shape for node in nodes}
        nodes.append(Node(f"n{k}", op, names, tuple(op.output_shape(*(shapes[name] for name in names)))))
    return Graph(tuple(nodes), nodes[-1].name)


def tensor(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed + 1000 * len(shape) + sum(shape))
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def kinds(graph: Graph) -> list[str]:
    """The primitives without the input."""
    return [type(node.op).__name__ for node in graph.nodes[1:]]


def same_function(a: Graph, b: Graph, points: int = 5) -> bool:
    x = tensor(points, *a.input.shape)
    return a[a.output].shape == b[b.output].shape and torch.allclose(
        a.evaluate(x), b.evaluate(x), rtol=1e-12, atol=1e-12
    )
