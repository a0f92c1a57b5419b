"""The nodes compute the monomials, whatever powers and numbers of factors they have."""

import math
import random

import pytest
import torch

from verify.graph import Graph, Node
from verify.monomials import monomial_nodes
from verify.ops import Gather, Input, Product
from verify.ops.power import Power
from verify.sets import Interval

INPUTS, OUTPUTS = 3, 2


def graph_of(monomials) -> Graph:
    """Over a flat input of outputs, then inputs."""
    nodes = [Node("in", Input((OUTPUTS + INPUTS,)), (), (OUTPUTS + INPUTS,)),
             Node("spec:y", Gather(torch.arange(OUTPUTS)), ("in",), (OUTPUTS,)),
             Node("spec:x", Gather(torch.arange(OUTPUTS, OUTPUTS + INPUTS)), ("in",), (INPUTS,))]
    nodes += monomial_nodes(monomials, INPUTS, OUTPUTS)
    return Graph(tuple(nodes), nodes[-1].name)


def variable(rng):
    return rng.choice([("x", k) for k in range(INPUTS)] + [("y", k) for k in range(OUTPUTS)])


@pytest.mark.parametrize("seed", range(30))
def test_values_and_intervals(seed):
    rng = random.Random(seed)
    monomials = [tuple(variable(rng) for _ in range(rng.randint(2, 5))) for _ in range(rng.randint(1, 6))]
    graph = graph_of(monomials)
    assert graph[graph.output].shape == (len(monomials),)
    points = torch.randn(20, OUTPUTS + INPUTS, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    expected = torch.stack([
        torch.stack([p[k] if kind == "y" else p[OUTPUTS + k] for kind, k in monomial]).prod()
        for p in points for monomial in monomials]).reshape(20, -1)
    assert torch.allclose(graph.evaluate(points), expected, rtol=1e-12, atol=0)
    bounds = {"in": Interval(points.amin(0, keepdim=True), points.amax(0, keepdim=True))}
    for node in graph.nodes[1:]:
        bounds[node.name] = node.op.interval(*(bounds[name] for name in node.inputs))
    assert bool(bounds[graph.output].contains(expected).all())


def test_equal_factors_are_powers_not_products():
    ops = [node.op for node in graph_of([(("x", 0), ("x", 0)), (("y", 1), ("y", 1), ("y", 1))]).nodes]
    assert [op.exponent for op in ops if isinstance(op, Power)] == [2, 3] and not any(
        isinstance(op, Product) for op in ops)
    assert all(node.roundings is None for node in graph_of([(("x", 0), ("y", 0))]).nodes)


def test_one_product_node_for_each_further_factor():
    found = graph_of([(("x", 0), ("x", 1)), (("x", 0), ("x", 1), ("y", 0)), (("x", 2), ("y", 1), ("y", 0))])
    sizes = [math.prod(node.shape) for node in found.nodes if isinstance(node.op, Product)]
    assert sizes == [3, 2]
