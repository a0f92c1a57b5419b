"""Exact evaluation by digits against plain rational arithmetic."""

import itertools
import math
from fractions import Fraction

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from tests.soundness import random_networks
from tests.soundness.exact import ExactNetwork
from verify.certificate.exact import Digits, exact_output
from verify.errors import OutOfResources, UnsupportedOperator
from verify.graph import Graph, Node
from verify.onnx_import import Network, from_bytes
from verify.ops import Input, Linear, Relu


def network(nodes, weights, inputs, outputs, kind=TensorProto.FLOAT) -> Network:
    """x -> the output of the last node."""
    stored = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", kind, inputs)],
                              [helper.make_tensor_value_info(nodes[-1].output[0], kind, outputs)], stored)
    model = helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    return from_bytes(model.SerializeToString())


def chain(layers: list[tuple[np.ndarray, np.ndarray]]) -> Graph:
    """Linear layers with ReLUs in between."""
    nodes = [Node("x", Input((layers[0][0].shape[1],)), (), (layers[0][0].shape[1],))]
    for k, (weight, bias) in enumerate(layers):
        shape = (weight.shape[0],)
        if k:
            nodes.append(Node(f"r{k}", Relu(), (nodes[-1].name,), nodes[-1].shape))
        nodes.append(Node(f"z{k}", Linear(torch.from_numpy(weight), torch.from_numpy(bias)), (nodes[-1].name,), shape))
    return Graph(tuple(nodes), nodes[-1].name)


def by_fractions(layers, x) -> list[Fraction]:
    y = [Fraction(float(v)) for v in x]
    for k, (weight, bias) in enumerate(layers):
        y = [max(v, Fraction(0)) for v in y] if k else y
        y = [sum((Fraction(float(w)) * v for w, v in zip(row, y, strict=True)), Fraction(float(b)))
             for row, b in zip(weight, bias, strict=True)]
    return y


def test_numbers_survive_their_digits():
    rng = np.random.default_rng(0)
    values = rng.normal(size=200) * 10.0 ** rng.uniform(-200, 200, 200)
    values[:8] = [0.0, -0.0, 1.0, -1.0, 2.0**15, -(2.0**15), 2.0**31 + 2.0**15, 0.1]
    assert Digits.of(torch.from_numpy(values)).fractions() == [Fraction(v) for v in values.tolist()]
    for small in (0.1, -3.5, 2.0**-149, 65535.5, 32767.5, -32768.0, 1e-8):
        digits = Digits.of(torch.tensor([small], dtype=torch.float64))
        assert digits.fractions() == [Fraction(small)] and float(digits.digits.abs().max()) <= 2**15
    assert Digits.of(torch.zeros(3, dtype=torch.float64)).fractions() == [0, 0, 0]


@pytest.mark.parametrize("seed", range(12))
def test_random_dense_networks(seed):
    """Float32 and float64 weights, sizes from 1e-30 to 1e8, dead and saturated neurons."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 9, 4)
    spread = 10.0 ** rng.uniform(-30, 8) if seed % 3 == 0 else 1.0
    layers = [(rng.normal(size=(o, i)) * spread, rng.normal(size=o) * rng.integers(0, 2))
              for i, o in itertools.pairwise(sizes)]
    if seed % 2:
        layers = [(w.astype(np.float32).astype(np.float64), b.astype(np.float32).astype(np.float64)) for w, b in layers]
    x = rng.normal(size=sizes[0]).astype(np.float32)
    assert exact_output(chain(layers), x, math.inf) == by_fractions(layers, x)


def test_cancellation_that_floats_lose():
    """x + 2^60 - 2^60 = x, and a ReLU on the exact sign of a difference far below an ulp."""
    big = np.array([2.0**60])
    layers = [(np.array([[1.0]]), big), (np.array([[1.0]]), -big)]
    assert exact_output(chain(layers), np.array([0.1], np.float32), math.inf) == [Fraction(float(np.float32(0.1)))]
    tiny = [(np.array([[1.0]]), np.array([1.0])), (np.array([[1.0]]), np.array([-1.0])), (np.eye(1), np.zeros(1))]
    assert exact_output(chain(tiny), np.array([2.0**-120]), math.inf) == [Fraction(1, 2**120)]
    assert exact_output(chain(tiny), np.array([-(2.0**-120)]), math.inf) == [0]


def test_all_exact_operators_of_a_network():
    """Conv, max pool, pads, residual sums, constants, scales, reductions: compared with float64 to its rounding."""
    rng = np.random.default_rng(1)

    def f32(*shape):
        return rng.normal(size=shape).astype(np.float32)

    nodes = [helper.make_node("Sub", ["x", "m"], ["a"]), helper.make_node("Mul", ["a", "s"], ["b"]),
             helper.make_node("Conv", ["b", "w", "c"], ["d"], pads=[1, 0, 1, 1], strides=[2, 1], dilations=[1, 2]),
             helper.make_node("Relu", ["d"], ["e"]), helper.make_node("Neg", ["e"], ["f"]),
             helper.make_node("Clip", ["f", "lo", "hi"], ["f2"]), helper.make_node("Add", ["d", "f2"], ["g"]),
             helper.make_node("Concat", ["g", "e"], ["h"], axis=1),
             helper.make_node("MaxPool", ["h"], ["i"], kernel_shape=[2, 2]),
             helper.make_node("Transpose", ["i"], ["j"], perm=[0, 2, 3, 1]),
             helper.make_node("ReduceSum", ["j", "ax"], ["k"], keepdims=0), helper.make_node("Abs", ["k"], ["l"]),
             helper.make_node("Flatten", ["l"], ["n"]),
             helper.make_node("Gemm", ["n", "W", "B"], ["y"], alpha=0.3, beta=1.7, transB=1)]
    weights = {"m": f32(1, 2, 1, 1), "s": f32(2, 1, 1), "w": f32(3, 2, 3, 2), "c": f32(3), "lo": np.float32(-0.7),
               "hi": np.float32(1e9), "ax": np.array([1], np.int64)}
    shape = (1, 2, 7, 6)
    first = network(nodes[:-1], weights, shape, None)
    width = math.prod(first.output_shape)
    whole = network(nodes, weights | {"W": f32(4, width), "B": f32(4)}, shape, (1, 4))
    x = f32(*shape)
    ours = whole.graph.evaluate(torch.from_numpy(x.astype(np.float64)).unsqueeze(0)).flatten().tolist()
    exact = exact_output(whole.graph, x.reshape(-1), math.inf)
    assert len(exact) == 4 and max(map(abs, exact)) > Fraction(1, 10)
    assert all(abs(float(a) - b) < 1e-13 for a, b in zip(exact, ours, strict=True))
    assert any(float(a) != b for a, b in zip(exact, ours, strict=True)) or exact[0].denominator > 2**52


@pytest.mark.parametrize("seed", range(32))
def test_equal_to_an_independent_rational_evaluation(seed):
    """All kinds of random networks of the soundness laboratory, batch normalisation and averages included (as they are
    in the graph), at the corners and the middle of their boxes."""
    posed = random_networks.problem(seed)
    graph = from_bytes(posed.onnx).graph
    box = posed.spec.cases[0].box
    for x in (box.inner_lower, box.inner_upper, (box.inner_lower + box.inner_upper) / 2):
        assert exact_output(graph, x, math.inf) == ExactNetwork.of(graph).evaluate([Fraction(float(v)) for v in x])


def test_refusals():
    smooth = network([helper.make_node("Tanh", ["x"], ["y"])], {}, (1, 2), (1, 2))
    with pytest.raises(UnsupportedOperator, match="Tanh has no exact value"):
        exact_output(smooth.graph, np.zeros(2, np.float32), math.inf)
    layers = [(np.ones((3, 3)), np.zeros(3))]
    with pytest.raises(OutOfResources, match="too long"):
        exact_output(chain(layers), np.ones(3), 8)
    for bad in (2.0**950, 2.0**-950):
        with pytest.raises(OutOfResources, match="not evaluated exactly"):
            exact_output(chain([(np.full((1, 1), bad), np.zeros(1))]), np.ones(1), math.inf)
