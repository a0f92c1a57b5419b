"""How a rewrite of a graph is applied: a rule looks at one node, all matches that do not overlap are done in one pass.

Every rule keeps this invariant: a name that survives keeps its value. Rewrites may only make a graph smaller or move
a node towards the output, so that repeating them ends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from verify.graph import Graph, Node


@dataclass(frozen=True)
class Match:
    """Replace `target` by `nodes` (the last one of the same name), or, with no nodes, by the existing node `alias`.

    `uses` are the other nodes the match relied on; no other match of the same pass may touch them.
    """

    target: Node
    nodes: tuple[Node, ...] = ()
    alias: str = ""
    uses: tuple[Node, ...] = ()


Rule = Callable[[Graph, Node], Match | None]


def apply_everywhere(graph: Graph, rule: Rule) -> Graph:
    """The graph after one pass of `rule`; the very same object when nothing matched."""
    touched: set[str] = set()
    found: dict[str, Match] = {}
    for node in graph.nodes:
        match = rule(graph, node)
        names = {node.name, *(used.name for used in match.uses)} if match else set()
        if match and not names & touched:
            touched |= names
            found[node.name] = match
    return _rebuilt(graph, found) if found else graph


def _rebuilt(graph: Graph, found: dict[str, Match]) -> Graph:
    aliases: dict[str, str] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        match = found.get(node.name)
        if match and not match.nodes:
            aliases[node.name] = aliases.get(match.alias, match.alias)
            continue
        for new in match.nodes if match else (node,):
            nodes.append(replace(new, inputs=tuple(aliases.get(name, name) for name in new.inputs)))
    output = aliases.get(graph.output, graph.output)
    return Graph(tuple(nodes), output, graph.device, graph.dtype).pruned()


def sole_producer(graph: Graph, node: Node) -> Node | None:
    """The only input of `node`, if `node` is also its only reader and it is not the network output."""
    if len(node.inputs) != 1:
        return None
    producer = graph[node.inputs[0]]
    return producer if len(graph.consumers[producer.name]) == 1 and producer.name != graph.output else None


def fresh(graph: Graph, wanted: str) -> str:
    """A name that the graph does not have."""
    while wanted in graph.by_name:
        wanted += "'"
    return wanted
