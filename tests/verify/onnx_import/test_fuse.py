"""Written-out activation functions become one curve, with the values they had."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from onnx import ModelProto, helper

from tests.verify.onnx_import.models import constant, imported, model
from verify.graph import Graph
from verify.onnx_import.fuse import fuse
from verify.ops import Gelu, HardSwish, Mish, Power, Product, Sigmoid, Silu, Softplus


def written(*steps: str, **constants: object) -> ModelProto:
    """Nodes from lines `y = Mul a b`."""
    nodes = []
    for step in steps:
        output, call = (part.strip() for part in step.split("="))
        op_type, *inputs = call.split()
        nodes.append(helper.make_node(op_type, inputs, [output]))
    return model(nodes, (1, 5), [constant(name, value) for name, value in constants.items()], 18)


ROOT = np.float32(math.sqrt(2))
GELU = ("d = Div x root", "e = Erf d", "f = Add e one")
CASES = {
    "silu": (Silu, written("s = Sigmoid x", "y = Mul x s")),
    "silu-other-order": (Silu, written("s = Sigmoid x", "y = Mul s x")),
    "quick-gelu": (Silu, written("z = Mul x c", "s = Sigmoid z", "y = Mul x s", c=1.702)),
    "silu-negative": (Silu, written("z = Mul x c", "s = Sigmoid z", "y = Mul x s", c=-0.7)),
    "gelu": (Gelu, written(*GELU, "m = Mul x f", "y = Mul m half", root=ROOT, one=1, half=0.5)),
    "gelu-half-first": (Gelu, written(*GELU, "h = Mul x half", "y = Mul h f", root=ROOT, one=1, half=0.5)),
    "gelu-half-gate": (Gelu, written(*GELU, "h = Mul f half", "y = Mul x h", root=ROOT, one=1, half=0.5)),
    "hard-swish": (HardSwish, written("a = Add x three", "c = Clip a zero six", "m = Mul x c", "y = Div m six",
                                      three=3, zero=0, six=6)),
    "hard-swish-gate": (HardSwish, written("a = Add x three", "c = Clip a zero six", "d = Div c six", "y = Mul x d",
                                           three=3, zero=0, six=6)),
    "mish": (Mish, written("s = Softplus x", "t = Tanh s", "y = Mul x t")),
    "cube": (Power, written("s = Mul x x", "y = Mul s x")),
    "fourth": (Power, written("s = Mul x x", "t = Mul s s", "y = Mul t half", half=0.5)),
    "root": (Power, written("s = Mul x x", "a = Add s one", "r = Sqrt a", "y = Reciprocal r", one=1)),
    "sigmoid": (Sigmoid, written("n = Neg x", "e = Exp n", "a = Add e one", "y = Div one a", one=1)),
    "softplus": (Softplus, written("e = Exp x", "a = Add e one", "y = Log a", one=1)),
    "log-sigmoid": (Softplus, written("s = Sigmoid x", "y = Log s")),
}
POINTS = torch.linspace(-6, 6, 40, dtype=torch.float64).reshape(8, 1, 5)


def kinds(graph: Graph) -> list[type]:
    return [type(node.op) for node in graph.nonlinear]


@pytest.mark.parametrize("name", CASES)
def test_one_curve_with_the_same_values(name):
    curve, proto = CASES[name]
    graph = imported(proto).graph
    fused = fuse(graph)
    assert kinds(fused)[-1] is curve and kinds(fused) in ([curve], [Power, curve])
    assert fused.output == graph.output
    assert torch.allclose(fused.evaluate(POINTS), graph.evaluate(POINTS), rtol=1e-13, atol=1e-14)


def test_softsign_is_monotone_piece_by_piece():
    graph = imported(written("a = Abs x", "b = Add a one", "y = Div x b", one=1)).graph
    fused = fuse(graph)
    assert Product not in kinds(fused)
    assert torch.allclose(fused.evaluate(POINTS), graph.evaluate(POINTS), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize(
    "proto",
    [
        written("s = Sigmoid x", "z = Add x one", "y = Mul z s", one=1),
        written("z = Add x one", "s = Sigmoid z", "y = Mul x s", one=1),
        written("e = Erf x", "f = Add e one", "y = Mul x f", one=1.5),
        written("a = Add x two", "c = Clip a zero six", "y = Mul x c", two=2, zero=0, six=6),
        written("z = Mul x c", "s = Sigmoid z", "y = Mul x s", c=[1, 2, 3, 4, 5]),
        written("e = Exp x", "a = Add e one", "y = Log a", one=2),
    ],
)
def test_what_is_no_such_function_stays(proto):
    graph = imported(proto).graph
    assert fuse(graph) is graph


def test_what_an_execution_rounds_stays():
    declared = imported(CASES["silu"][1]).declared
    assert fuse(declared) is declared
    narrow = imported(CASES["silu"][1]).graph.to(dtype=torch.float32)
    assert fuse(narrow) is narrow
