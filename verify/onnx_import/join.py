"""Several networks as one: a joint flat input, each network on its share of it, and all outputs one behind the other.

    x -> gather -> f -> flat ─┐
      -> gather -> g -> flat ─┴ concat -> y

Nodes keep their names behind "<network>/". A wiring says which entries of the joint input each network reads; two may
read the same ones, and then share them exactly. Joining moves values and rounds nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch

from verify.errors import ShapeMismatch
from verify.graph import Graph, Node
from verify.onnx_import.model import Network
from verify.onnx_import.part import Wiring
from verify.ops import Concat, Gather, Input, Reshape

JOINT = "joint input"


def join(networks: Sequence[tuple[str, Network]], wiring: Wiring = None) -> Network:
    """The named networks side by side; `wiring` as in `Network`, for the inputs of all of them in order."""
    declared = [(name, network.declared) for name, network in networks]
    total = sum(math.prod(graph.input.shape) for _, graph in declared)
    wiring = tuple(range(total)) if wiring is None else tuple(wiring)
    if len(wiring) != total or set(wiring) != set(range(max(wiring) + 1)):
        raise ShapeMismatch(f"a wiring of {len(wiring)} entries to the inputs 0 to {max(wiring)} does not fit networks "
                            f"with {total} inputs in all")
    graph = _side_by_side(declared, wiring)
    parts = tuple(replace(part, name=name) for name, network in networks for part in network.parts)
    return Network(
        graph.over_reals(), parts, ", ".join(f"{name}={network.source}" for name, network in networks),
        max(network.opset for _, network in networks),
        sum((network.operators for _, network in networks), Counter()), graph,
        None if wiring == tuple(range(total)) else wiring,
    )


def _side_by_side(graphs: Iterable[tuple[str, Graph]], wiring: tuple[int, ...]) -> Graph:
    nodes = [Node(JOINT, Input((max(wiring) + 1,)), (), (max(wiring) + 1,))]
    flat, begin = [], 0
    for name, graph in graphs:
        size = math.prod(graph.input.shape)
        nodes += _renamed(name, graph, torch.tensor(wiring[begin:begin + size], dtype=torch.int64))
        count = math.prod(graph[graph.output].shape)
        flat.append(Node(f"{name}/flat output", Reshape((count,)), (f"{name}/{graph.output}",), (count,)))
        begin += size
    total = sum(node.shape[0] for node in flat)
    last = Node("joint output", Concat(0), tuple(node.name for node in flat), (total,))
    return Graph((*nodes, *flat, last), last.name)


def _renamed(name: str, graph: Graph, entries: torch.Tensor) -> list[Node]:
    """The nodes of a network under its name, its input being entries of the joint one."""
    found = []
    for node in graph.nodes:
        own, inputs = f"{name}/{node.name}", tuple(f"{name}/{source}" for source in node.inputs)
        if isinstance(node.op, Input):
            found.append(Node(own, Gather(entries.reshape(node.shape)), (JOINT,), node.shape))
        else:
            found.append(replace(node, name=own, inputs=inputs))
    return found
