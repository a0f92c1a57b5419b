"""Bounds under float32 semantics enclose executions: random orders of summation, and onnxruntime's own."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch

from tests.soundness.executions import execute
from tests.soundness.random_networks import IMAGES, KINDS, Builder
from verify.bounds.alpha import alpha_crown
from verify.bounds.crown import crown
from verify.bounds.ibp import ibp
from verify.bounds.noise import SMOOTH, noise, widened
from verify.bounds.walk import charges
from verify.errors import Float32Overflow, UnsupportedOperator
from verify.graph import Graph, Node
from verify.onnx_import import from_bytes
from verify.onnx_import.simplify import simplify
from verify.ops import Affine, Exp, Input, Linear, Product, Relu, Sigmoid
from verify.sets import Interval


def smooth(b: Builder) -> tuple[str, int]:
    x = b.add("Sigmoid", b.dense("x", b.input_shape[1], 4))
    return b.dense(b.add("Tanh", b.dense(x, 4, 4)), 4, 2), 2


def wide(b: Builder) -> tuple[str, int]:
    x = b.relu(b.dense("x", b.input_shape[1], 60))
    return b.dense(b.add("Mul", x, b.constant(np.float32(100.0))), 60, 2), 2


def bilinear(b: Builder) -> tuple[str, int]:
    left, right = b.relu(b.dense("x", b.input_shape[1], 4)), b.dense("x", b.input_shape[1], 4)
    return b.dense(b.add("Mul", left, right), 4, 2), 2


BUILDS = {**KINDS, "smooth": smooth, "wide": wide, "bilinear": bilinear}


def network(kind: str, seed: int):
    rng = np.random.default_rng(seed)
    shape = (1, 1, 3, 3) if BUILDS[kind] in IMAGES else (1, 4)
    builder = Builder(rng, shape)
    return from_bytes(builder.model(*BUILDS[kind](builder))), rng


def outputs(network, x: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Executions at x: random orders, onnxruntime as the file says and rewritten."""
    found = [execute(network.declared, x, rng)[network.declared.output] for _ in range(4)]
    level = onnxruntime.GraphOptimizationLevel
    for wanted in (level.ORT_DISABLE_ALL, level.ORT_ENABLE_ALL):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = wanted
        session = onnxruntime.InferenceSession(network.onnx, options, providers=["CPUExecutionProvider"])
        found.append(session.run(None, {"x": x})[0].astype(np.float64))
    return found


@pytest.mark.parametrize("radius", [0.0, 0.3])
@pytest.mark.parametrize("kind", BUILDS)
def test_bounds_enclose_executions(kind, radius):
    """Nearly without width (radius 0) the noise is all there is, and a term that is forgotten shows."""
    net, rng = network(kind, 5)
    graph = simplify(net.declared)
    center = rng.uniform(-1, 1, net.input_shape).astype(np.float32)
    low, high = ((center + sign * np.float32(radius)).astype(np.float32) for sign in (-1, 1))
    box = Interval(*(torch.from_numpy(side).double().unsqueeze(0) for side in (low, high)))
    known = ibp(graph, box)
    cost = charges(graph, known)
    size = known[graph.output].lower.numel()
    both = torch.cat([torch.eye(size), -torch.eye(size)]).double().reshape(1, 2 * size, *net.output_shape)
    sides = {"ibp": torch.cat([known[graph.output].lower.flatten(), -known[graph.output].upper.flatten()])}
    sides["crown"] = crown(graph, box, both, charges=cost)[0][0]
    sides["alpha"] = alpha_crown(graph, box, both, iterations=2, charges=cost)[0][0]
    for _ in range(3):
        x = np.clip(rng.uniform(low, high).astype(np.float32), low, high)
        for y in outputs(net, x, rng):
            values = np.concatenate([y.reshape(-1), -y.reshape(-1)])
            for name, bound in sides.items():
                assert (bound.detach().numpy() <= values).all(), name


def test_every_value_of_an_execution_lies_in_its_interval():
    for kind in BUILDS:
        net, rng = network(kind, 9)
        x = rng.uniform(-1, 1, net.input_shape).astype(np.float32)
        point = torch.from_numpy(x).double().unsqueeze(0)
        known = ibp(net.declared, Interval(point, point))
        for _ in range(3):
            for name, value in execute(net.declared, x, rng).items():
                lower, upper = known[name].lower[0].numpy(), known[name].upper[0].numpy()
                assert ((lower <= value) & (value <= upper)).all(), (kind, name)


def test_the_reals_are_left_alone():
    net, _ = network("mlp", 1)
    assert all(node.roundings is None for node in net.graph.nodes)
    assert any(node.roundings is not None for node in net.declared.nodes)
    point = torch.zeros(1, *net.input_shape, dtype=torch.float64)
    exact, rounded = (ibp(g, Interval(point, point))[g.output] for g in (net.graph, net.declared))
    assert float(exact.width.max()) < 1e-12 < 1e-8 < float(rounded.width.min())


def node(op, roundings: int | None = 0) -> Node:
    return Node("n", op, ("x",), (1, 1), roundings)


def box_of(*values: float, dtype=torch.float64) -> Interval:
    x = torch.tensor([[list(values)]], dtype=dtype)
    return Interval(-x, x)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_formula_on_a_sum_of_three(dtype):
    op = Linear(torch.tensor([[1.0, -2.0, 4.0]], dtype=dtype), torch.tensor([8.0], dtype=dtype))
    found = float(noise(node(op), [box_of(1, 1, 0.5, dtype=dtype)]))
    least = 12 * 2.0**-24 * (1 + 2 + 2 + 8)
    assert least <= found <= 1.001 * least
    assert float(noise(node(op, 4), [box_of(1, 1, 0.5, dtype=dtype)])) >= 16 / 12 * least
    assert noise(node(op, None), [box_of(1, 1, 0.5, dtype=dtype)]) is None


def test_what_is_smooth_is_off_by_the_declared_amount():
    assert SMOOTH == 2.0**-20 <= float(noise(node(Sigmoid()), [box_of(3.0)])) <= SMOOTH * (1 + 1e-14)
    assert noise(node(Relu(), None), [box_of(3.0)]) is None


def test_flushed_subnormals_are_charged():
    """2^-70 2^-70 is 0 in float32; a sum of nothing but that has no relative error."""
    op = Affine(torch.tensor(2.0**-70, dtype=torch.float64))
    assert float(noise(node(op), [box_of(2.0**-70)])) > 2.0**-126


@pytest.mark.parametrize("size", [2.0**51, 1e300, float("inf"), float("nan")])
def test_overflow_is_an_error_with_the_name_of_the_node(size):
    with pytest.raises(Float32Overflow, match="'n'"):
        noise(node(Affine(torch.tensor(1.0, dtype=torch.float64))), [box_of(size)])


def test_widening_rounds_outward():
    one = torch.ones(1, 1, dtype=torch.float64)
    wide = widened(Interval(one, one), torch.full_like(one, 1e-17))
    assert float(wide.lower) < 1 < float(wide.upper)


def test_charges_hold_the_noise_of_every_node():
    weight = torch.tensor([[1.0]], dtype=torch.float64)
    x = Node("x", Input((1, 1)), (), (1, 1))
    parts = [Graph((x, Node("n", Linear(weight), ("x",), (1, 1), r)), "n") for r in (None, 0)]
    box = Interval(-weight.unsqueeze(0), weight.unsqueeze(0))
    exact, rounded = (charges(g, ibp(g, box))["n"] for g in parts)
    assert float(exact) < 1e-14 and 10 * 2.0**-24 < float(rounded) < 11 * 2.0**-24


def test_a_product_rounds_like_one_term():
    found = noise(Node("n", Product(), ("x", "y"), (1, 1), 0), [box_of(3.0), box_of(5.0)])
    unit = 2.0**-24
    assert 9 * unit * 15 <= float(found) <= 9.01 * unit * 15
    with pytest.raises(Float32Overflow, match="products reach"):
        noise(Node("n", Product(), ("x", "y"), (1, 1), 0), [box_of(2.0**30), box_of(2.0**30)])


def test_nothing_is_said_about_other_curves():
    with pytest.raises(UnsupportedOperator, match="nothing is declared about the accuracy of Exp"):
        noise(node(Exp()), [box_of(1.0)])
