"""What every bound must satisfy, written once: claims are held against the least values found in float64."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from tests.verify.bounds.networks import ALL, boxes, directions, low_points, slack
from verify.bounds.compact import CompactLayer, CompactNetwork
from verify.bounds.ibp import ibp
from verify.bounds.root import Root, compact_root
from verify.bounds.walk import Bounds, Charges, charges
from verify.graph import Graph, Node
from verify.ops import Linear, Reshape
from verify.sets import Interval, entries

DTYPES = (torch.float64, torch.float32)
DEVICES = ("cpu", "cuda")


def cases(names=ALL, seeds: int = 2, dtypes=DTYPES) -> Iterator[tuple[str, Graph, Interval]]:
    """(name, graph, batch of boxes)."""
    for name in names:
        for seed in range(seeds):
            for dtype in dtypes:
                graph = ALL[name](seed).to(dtype=dtype)
                yield f"{name}-{seed}-{dtype}", graph, boxes(graph, seed)


def rounding(graph: Graph, box: Interval) -> Charges:
    """Charges that hold for every box of a batch."""
    return {name: cost.amax(0, keepdim=True) for name, cost in charges(graph, ibp(graph, box)).items()}


def assert_below(bound: Tensor, low: Tensor, what: str) -> None:
    """`bound` (n, r) is a number and never above the values `low` (n, r)."""
    bound = bound.double()
    assert not bool(bound.isnan().any()), what
    wrong = bound > low + slack(low)
    assert not bool(wrong.any()), f"{what}: bound exceeds a value by {float((bound - low)[wrong].max()):.3g}"


def assert_encloses(graph: Graph, box: Interval, bounds: Bounds, what: str, count: int = 200) -> None:
    """Every node's interval contains its float64 values on sampled points and corners of every box."""
    exact = graph.to(dtype=torch.float64)
    low, high = box.lower.double(), box.upper.double()
    generator = torch.Generator().manual_seed(1)
    noise = torch.rand(count, *low.shape, generator=generator, dtype=torch.float64)
    noise[::2] = noise[::2].round()
    points = (low + noise * (high - low)).maximum(low).minimum(high)
    values = exact.values(points.flatten(0, 1), bounds)
    for name, interval in bounds.items():
        value = values[name].reshape(count, low.shape[0], *interval.lower.shape[1:])
        spare = 1e-12 * (1 + value.abs())
        inside = (interval.lower.double() <= value + spare) & (value - spare <= interval.upper.double())
        assert bool(inside.all()), f"{what}: a value of node {name} lies outside its interval"


def with_rows(graph: Graph, seed: int = 0, count: int = 3) -> Graph:
    """The graph followed by random rows on its output, as a property would be: output shape (count,)."""
    rows = directions(graph, seed, count)[0].reshape(count, -1)
    bias = 0.1 * rows.sum(1)
    size = math.prod(graph[graph.output].shape)
    nodes = (*graph.nodes, Node("flat", Reshape((size,)), (graph.output,), (size,)),
             Node("rows", Linear(rows, bias), ("flat",), (count,)))
    return Graph(nodes, "rows", graph.device, graph.dtype)


def varying(box: Interval) -> Tensor:
    return (box.upper > box.lower).flatten().nonzero().squeeze(1)


def roots(names=ALL, seeds: int = 1, dtypes=DTYPES, which=(0, 1, 2, 3, 4)
          ) -> Iterator[tuple[str, Graph, Interval, Root]]:
    """(name, graph ending in rows, one box, its collapsed root)."""
    for name, graph, batch in cases(names, seeds, dtypes):
        tail = with_rows(graph, 3)
        for k in which:
            box = batch[k : k + 1]
            yield f"{name}-box{k}", tail, box, compact_root(tail, box, varying(box))


def row_minima(graph: Graph, box: Interval) -> Tensor:
    """The least values found of the rows, (r,)."""
    count = graph[graph.output].shape[0]
    return low_points(graph, box, torch.eye(count, dtype=torch.float64), 48, 10)[0]


def move(box: Interval, device: str) -> Interval:
    return Interval(box.lower.to(device), box.upper.to(device))


def arguments(graph: Graph, network: CompactNetwork, x: Tensor) -> Tensor:
    """The values (k, z) of all arguments at x."""
    names = {name for layer in network.layers for name in graph[layer.node].inputs}
    values = graph.values(x, names)
    return torch.cat([read_by(layer, [entries(values[name], 1) for name in graph[layer.node].inputs])
                      for layer in network.layers] or [x.flatten(1)[:, :0]], 1)


def read_by(layer: CompactLayer, inputs: list[Tensor]) -> Tensor:
    """The arguments (k, z) of a layer, from the values (k, entries) of its node's inputs."""
    if layer.reads is None:
        return inputs[0][:, layer.neurons]
    z = inputs[0].new_full((inputs[0].shape[0], layer.bias.numel()), torch.nan)
    for value, each in zip(inputs, layer.reads, strict=True):
        z[:, each] = value
    assert not bool(z.isnan().any())
    return z
