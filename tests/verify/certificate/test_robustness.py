"""The label of a counterexample: robust beyond what rounding can do, fragile within it, and never in the way."""

import itertools
import math
from decimal import Decimal

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from verify.budget import Budget
from verify.certificate import robustness
from verify.certificate.robustness import judge
from verify.certificate.witness import Replayer
from verify.errors import BrokenInvariant
from verify.onnx_import import from_bytes
from verify.vnnlib import parse_spec


def model(nodes, weights, inputs, outputs, kind=TensorProto.FLOAT) -> bytes:
    stored = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", kind, inputs)],
                              [helper.make_tensor_value_info("y", kind, outputs)], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()


def dense(sizes: tuple[int, ...], seed: int, activation="Relu", kind=np.float32) -> bytes:
    rng = np.random.default_rng(seed)
    nodes, weights, last = [], {}, "x"
    for k, (i, o) in enumerate(itertools.pairwise(sizes)):
        weights[f"w{k}"] = (rng.normal(size=(o, i)) / math.sqrt(i)).astype(kind)
        weights[f"b{k}"] = rng.normal(size=o).astype(kind)
        end = "y" if k == len(sizes) - 2 else f"z{k}"
        nodes.append(helper.make_node("Gemm", [last, f"w{k}", f"b{k}"], [end], transB=1))
        if end != "y":
            nodes.append(helper.make_node(activation, [end], [f"a{k}"]))
            last = f"a{k}"
    double = TensorProto.DOUBLE if kind is np.float64 else TensorProto.FLOAT
    return model(nodes, weights, (1, sizes[0]), (1, sizes[-1]), double)


def spec(body: str, inputs: int, outputs: int):
    text = "".join(f"(declare-const X_{k} Real)(assert (>= X_{k} -1))(assert (<= X_{k} 1))" for k in range(inputs))
    return parse_spec(text + "".join(f"(declare-const Y_{k} Real)" for k in range(outputs)) + body, "test.vnnlib")


def output(data: bytes, x: np.ndarray) -> np.ndarray:
    return onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0].reshape(-1)


def labelled(data: bytes, body: str, x: np.ndarray, outputs: int):
    asked = spec(body, x.size, outputs)
    witness = Replayer(data, asked).check(x)
    assert witness is not None
    return witness, judge(from_bytes(data), asked, witness, Budget())


def below(data: bytes, x: np.ndarray, distance: float) -> str:
    """Y_0 <= what onnxruntime returns at x, plus `distance`, as an exact decimal."""
    return f"(assert (<= Y_0 {Decimal(float(output(data, x)[0])) + Decimal(distance):f}))"


def test_identity_is_exact_and_robust_at_any_distance():
    data = model([helper.make_node("Identity", ["x"], ["y"])], {}, (1, 1), (1, 1))
    witness, label = labelled(data, "(assert (<= Y_0 0.5))", np.array([0.25], np.float32), 1)
    assert (label.label, label.lower, label.upper, label.exact) == ("robust", 0.25, 0.25, True)
    assert label.rounding < 1e-14 and witness.optimised.tolist() == witness.y.tolist() == [0.25]
    # Exactly on the border of the unsafe set: nothing strict to see.
    assert labelled(data, "(assert (<= Y_0 0.25))", np.array([0.25], np.float32), 1)[1].label == "fragile"


@pytest.mark.parametrize(("activation", "exact"), [("Relu", True), ("Sigmoid", False), ("Tanh", False)])
def test_robust_far_inside_and_fragile_close_to_the_border(activation, exact):
    data = dense((6, 16, 16, 2), 0, activation)
    x = np.linspace(-1, 1, 6, dtype=np.float32).reshape(1, 6)
    _, far = labelled(data, below(data, x, 0.1), x, 2)
    assert far.label == "robust" and far.exact == exact and far.lower <= far.upper < far.lower + 1e-12
    assert abs(far.lower - 0.1) < 1e-5 and 0 < far.rounding < (1e-4 if exact else 1e-3)
    assert "the violation is 0.1 " in far.explanation or not exact
    _, close = labelled(data, below(data, x, 1e-9), x, 2)
    assert close.label == "fragile" and close.rounding > abs(close.lower)
    assert "at most" in close.explanation


def test_convolution_with_pooling_and_batch_norm():
    rng = np.random.default_rng(2)
    parts = {"w": (3, 1, 3, 3), "c": (3,), "g": (3,), "b": (3,), "m": (3,), "W": (2, 12), "B": (2,)}
    weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in parts.items()}
    weights["v"] = np.array([0.5, 1, 2], np.float32)
    nodes = [helper.make_node("Conv", ["x", "w", "c"], ["d"]), helper.make_node("Relu", ["d"], ["e"]),
             helper.make_node("MaxPool", ["e"], ["f"], kernel_shape=[2, 2], strides=[2, 2]),
             helper.make_node("Flatten", ["f"], ["h"]), helper.make_node("Gemm", ["h", "W", "B"], ["y"], transB=1)]
    x = rng.uniform(-1, 1, (1, 1, 6, 6)).astype(np.float32)
    data = model(nodes, weights, x.shape, (1, 2))
    _, exact = labelled(data, below(data, x, 0.1), x, 2)
    assert (exact.label, exact.exact) == ("robust", True)
    norm = helper.make_node("BatchNormalization", ["e", "g", "b", "m", "v"], ["n"])
    pool = helper.make_node("MaxPool", ["n"], ["f"], kernel_shape=[2, 2], strides=[2, 2])
    data = model([*nodes[:2], norm, pool, *nodes[3:]], weights, x.shape, (1, 2))
    _, enclosed = labelled(data, below(data, x, 0.1), x, 2)
    assert (enclosed.label, enclosed.exact) == ("robust", False) and "between" in enclosed.explanation
    assert labelled(data, below(data, x, 1e-8), x, 2)[1].label == "fragile"


def test_double_networks_are_judged_by_double_rounding():
    data = dense((4, 12, 12, 1), 3, kind=np.float64)
    x = np.linspace(-1, 1, 4).reshape(1, 4)
    _, small = labelled(data, below(data, x, 1e-9), x, 1)
    assert small.label == "robust" and small.rounding < 1e-11 and "float64" in small.explanation
    assert labelled(data, below(data, x, 1e-16), x, 1)[1].label == "fragile"


def test_deep_networks_are_judged_by_backward_rows():
    """Intervals grow by the product of the norms, 1e3 and more here; rows through the layers do not."""
    data = dense((8, *[40] * 12, 1), 4)
    x = np.linspace(-1, 1, 8, dtype=np.float32).reshape(1, 8)
    _, label = labelled(data, below(data, x, 0.01), x, 1)
    assert label.label == "robust" and label.exact and label.rounding < 0.01


@pytest.mark.parametrize("seed", range(6))
def test_executions_stay_within_the_stated_rounding(seed):
    """onnxruntime with and without optimisations, and numpy float32 with permuted sums."""
    data = dense((5, 24, 24, 1), 10 + seed, "Relu" if seed % 2 else "Tanh")
    network, rng = from_bytes(data), np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (1, 5)).astype(np.float32)
    border = float(output(data, x)[0]) + 1e-3
    witness, label = labelled(data, f"(assert (<= Y_0 {border:.30f}))", x, 1)
    found = [float(witness.y[0]), float(witness.optimised[0])]
    layers = [node.op for node in network.graph.nodes if hasattr(node.op, "weight")]
    for _ in range(50):
        y = x[0]
        for k, op in enumerate(layers):
            y = y if k == 0 else np.maximum(y, 0) if seed % 2 else np.tanh(y)
            order = rng.permutation(y.size)
            products = op.weight.numpy().astype(np.float32)[:, order] * y[order]
            y = np.cumsum(products, axis=1, dtype=np.float32)[:, -1] + op.bias.numpy().astype(np.float32)
        found.append(float(y[0]))
    assert all(label.lower - label.rounding <= border - y <= label.upper + label.rounding for y in found)
    assert len(set(found)) > 1


def test_a_point_that_only_rounding_makes_a_counterexample():
    """x + 1 - 1 <= -2^-30 never holds at x = -2^-31 over the reals; float32 returns ... 0, or -2^-24 after rounding."""
    weights = {"one": np.array([1], np.float32), "minus": np.array([-1], np.float32)}
    nodes = [helper.make_node("Add", ["x", "one"], ["a"]), helper.make_node("Add", ["a", "minus"], ["y"])]
    data = model(nodes, weights, (1, 1), (1, 1))
    x = np.array([-(2.0**-24) * 0.75], np.float32)
    witness, label = labelled(data, "(assert (<= Y_0 -0.00000005))", x, 1)
    assert witness.y[0] < -5e-8
    assert label.label == "fragile" and label.exact and label.upper < 0
    assert "no counterexample" in label.explanation


def test_overflow_is_fragile_and_said():
    """A product of 1e38 fits into float32, but within a factor of two of its end."""
    weights = {"w": np.array([[1e38]], np.float32), "v": np.array([[1e-38]], np.float32)}
    nodes = [helper.make_node("MatMul", ["x", "w"], ["a"]), helper.make_node("MatMul", ["a", "v"], ["y"])]
    data = model(nodes, weights, (1, 1), (1, 1))
    _, label = labelled(data, "(assert (<= Y_0 2))", np.array([0.99], np.float32), 1)
    assert label.label == "fragile" and label.rounding == math.inf and "overflow" in label.explanation


def test_several_rows_disjuncts_and_boxes():
    data = model([helper.make_node("Identity", ["x"], ["y"])], {}, (1, 2), (1, 2))
    body = "(assert (or (and (<= Y_0 0.5) (<= Y_1 0.375)) (<= Y_0 0.3)))"
    _, label = labelled(data, body, np.array([0.25, 0.25], np.float32), 2)
    assert (label.label, label.lower) == ("robust", 0.125)
    _, free = labelled(data, "", np.zeros(2, np.float32), 2)
    assert free.label == "robust" and free.lower == math.inf and "no output condition" in free.explanation


def test_what_takes_too_long_or_fails_is_said_and_raises_nothing(monkeypatch):
    data = dense((4, 8, 1), 5)
    x = np.zeros((1, 4), np.float32)
    asked = spec(below(data, x, 0.1), 4, 1)
    witness, network = Replayer(data, asked).check(x), from_bytes(data)
    late = judge(network, asked, witness, Budget.seconds(1e-12))
    assert late.label == "unlabelled" and "would take" in late.explanation

    def broken(*_):
        raise BrokenInvariant("two bounds do not overlap")

    monkeypatch.setattr(robustness, "_rows", broken)
    assert judge(network, asked, witness, Budget()).explanation.endswith("two bounds do not overlap")
    monkeypatch.undo()
    huge = spec(f"(assert (<= (* 1e40 Y_0) {'9' * 60}))", 4, 1)
    assert judge(network, huge, witness, Budget()).label == "unlabelled"


def test_without_exact_arithmetic_the_violation_is_enclosed(monkeypatch):
    data = dense((4, 8, 1), 6)
    x = np.full((1, 4), 0.3, np.float32)
    _, exact = labelled(data, below(data, x, 0.1), x, 1)
    monkeypatch.setattr(robustness, "EXACT_WORK", 0.0)
    _, enclosed = labelled(data, below(data, x, 0.1), x, 1)
    assert exact.exact and not enclosed.exact
    assert enclosed.lower <= exact.lower <= exact.upper <= enclosed.upper < enclosed.lower + 1e-13


def test_nothing_is_proved_by_numbers_that_are_none():
    nan = torch.full((1, 2), math.nan)
    found = robustness._violation(robustness.Interval(nan, nan))
    assert (found.least, found.most) == (-math.inf, math.inf)
