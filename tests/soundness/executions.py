"""Float32 executions of an imported network that no runtime may do but any could: orders of summation drawn at random.

Every operator that rounds is written as rows of products, y_o = sum_i W_oi x_i + b_o, and each row is summed in an
order of its own, in float32, with or without FMA. What is exact (moves, maxima, ReLUs) is computed in float64.
"""

from __future__ import annotations

import numpy as np
import torch

from verify.graph import Graph, Node
from verify.ops import Input, Product, SShaped

FLOAT = np.float32


def execute(graph: Graph, x: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The values of all nodes at one point x (*input shape) of float32: float64 arrays that hold float32 numbers.
    `graph`: as declared by the file (`Network.declared`)."""
    values: dict[str, np.ndarray] = {}
    with np.errstate(over="ignore", invalid="ignore"):
        for node in graph.nodes:
            if isinstance(node.op, Input):
                values[node.name] = np.asarray(x, np.float64).reshape(node.shape)
            else:
                values[node.name] = _value(graph, node, [values[name] for name in node.inputs], rng)
    return values


def _value(graph: Graph, node: Node, inputs: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    tensors = [torch.from_numpy(v).unsqueeze(0) for v in inputs]
    if node.roundings is None:
        # Parts of a maximum, say, are no float32 numbers; the maximum itself is one again, but for 2^-53.
        return node.op.evaluate(*tensors).reshape(node.shape).numpy()
    if isinstance(node.op, (SShaped, Product)):
        return node.op.evaluate(*tensors).reshape(node.shape).numpy().astype(FLOAT).astype(np.float64)
    weight, bias = _matrix(graph, node)
    flat = np.concatenate([v.reshape(-1) for v in inputs]) if inputs else np.zeros(0)
    rows = [_row(weight[o], flat, bias[o], rng) for o in range(len(weight))]
    return np.array(rows, np.float64).reshape(node.shape)


def _matrix(graph: Graph, node: Node) -> tuple[np.ndarray, np.ndarray]:
    """W (o, all inputs) and b (o,) in float32 (folded constants are rounded once)."""
    shapes = graph.input_shapes(node)
    zero = [torch.zeros(1, *shape, dtype=torch.float64) for shape in shapes]
    bias = node.op.evaluate(*zero).flatten()
    rows = torch.eye(bias.numel(), dtype=torch.float64).reshape(1, bias.numel(), *node.shape)
    parts = [part.reshape(bias.numel(), -1) for part in node.op.pull_back(rows, shapes)]
    weight = torch.cat(parts, 1) if parts else torch.zeros(bias.numel(), 0, dtype=torch.float64)
    return weight.numpy().astype(FLOAT), bias.numpy().astype(FLOAT)


def _row(weight: np.ndarray, x: np.ndarray, bias: np.float32, rng: np.random.Generator) -> float:
    """One entry; the bias is a term like any other. Pairs, a running sum, or a running sum with FMA."""
    used = np.flatnonzero(weight)
    terms = rng.permutation(used)
    style = rng.integers(3)
    if style == 2:
        total = bias
        for k in terms:  # one rounding for product and sum
            total = FLOAT(np.float64(total) + np.float64(weight[k]) * x[k])
        return float(total)
    products = [FLOAT(weight[k] * FLOAT(x[k])) for k in terms]
    products.insert(int(rng.integers(len(products) + 1)), bias)
    while style == 1 and len(products) > 1:
        products = [FLOAT(sum(products[k : k + 2], FLOAT(0))) for k in range(0, len(products), 2)]
    total = FLOAT(0)
    for product in products:
        total = FLOAT(total + product)
    return float(total)
