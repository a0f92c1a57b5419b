"""Operators beyond piecewise linear ones: equal to onnxruntime, and enclosed by intervals and by CROWN."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from onnx import ModelProto, helper

from tests.verify.onnx_import.models import constant, imported, model, ops_of, single
from verify.bounds.crown import crown_bounds
from verify.bounds.walk import charges, forward
from verify.errors import InvalidInput, UnsupportedOperator
from verify.graph import Graph
from verify.onnx_import import Network, compare_with_onnxruntime, simplify
from verify.sets import Interval

rng = np.random.default_rng(11)


def normal(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def pair(op_type: str, shape, other, opset: int = 13, order=("a", "b"), flatten: int = 0, **attributes) -> ModelProto:
    """The operator on two variables: the first entries of x as `shape`, the next ones as `other`."""
    sizes = [int(np.prod(s)) for s in (shape, other)]
    nodes, known = [], [constant("s", sizes, np.int64)]
    nodes.append(helper.make_node("Split", ["x", "s"], ["u", "v"], axis=1))
    for name, source, wanted in (("a", "u", shape), ("b", "v", other)):
        known.append(constant(f"{name}-shape", wanted, np.int64))
        nodes.append(helper.make_node("Reshape", [source, f"{name}-shape"], [name]))
    nodes.append(helper.make_node(op_type, list(order), ["y"], name=op_type.lower(), **attributes))
    return model(nodes, (1, sum(sizes)), known, opset)


IMAGE = (1, 4, 3, 2)
ANY, POSITIVE, UNIT = (-2.0, 2.0), (0.2, 3.0), (-0.9, 0.9)
CASES = {
    # one primitive
    **{name.lower(): (single(name, (1, 5)), *ANY) for name in (
        "Asinh", "Atan", "Ceil", "Cos", "Cosh", "Elu", "Erf", "Exp", "Floor", "Round", "Selu", "Shrink", "Sign", "Sin",
        "Sinh", "Softplus", "Softsign", "ThresholdedRelu")},
    **{name.lower(): (single(name, (1, 5)), *POSITIVE) for name in ("Log", "Reciprocal", "Sqrt")},
    **{name.lower(): (single(name, (1, 5)), *UNIT) for name in ("Asin", "Acos", "Atanh", "Tan")},
    "acosh": (single("Acosh", (1, 5)), 1.1, 4.0),
    "reciprocal-negative": (single("Reciprocal", (1, 5)), -3.0, -0.2),
    "hard-swish": (single("HardSwish", (1, 5), opset=14), -5.0, 5.0),
    "mish": (single("Mish", (1, 5), opset=18), *ANY),
    "swish": (single("Swish", (1, 5), opset=24), *ANY),
    "swish-alpha": (single("Swish", (1, 5), opset=24, alpha=1.702), *ANY),
    "swish-negative": (single("Swish", (1, 5), opset=24, alpha=-0.8), *ANY),
    "swish-0": (single("Swish", (1, 5), opset=24, alpha=0.0), *ANY),
    "elu-alpha": (single("Elu", (1, 5), alpha=0.3), *ANY),
    "selu-alpha": (single("Selu", (1, 5), alpha=1.2, gamma=0.8), *ANY),
    "celu": (single("Celu", (1, 5), alpha=1.0), *ANY),
    "celu-alpha": (single("Celu", (1, 5), alpha=0.4), *ANY),
    "gelu": (single("Gelu", (1, 5), opset=20), *ANY),
    "gelu-tanh": (single("Gelu", (1, 5), opset=20, approximate="tanh"), *ANY),
    "thresholded-alpha": (single("ThresholdedRelu", (1, 5), alpha=0.5), *ANY),
    "thresholded-negative": (single("ThresholdedRelu", (1, 5), alpha=-0.5), *ANY),
    "shrink-soft": (single("Shrink", (1, 5), lambd=0.7, bias=0.7), *ANY),
    "shrink-bias": (single("Shrink", (1, 5), lambd=0.7, bias=0.2), *ANY),
    # arithmetic
    "square": (single("Mul", (1, 5), order=["x", "x"]), *ANY),
    "mul": (pair("Mul", (2, 3), (2, 3)), *ANY),
    "mul-broadcast": (pair("Mul", (2, 1), (1, 3)), *ANY),
    "div": (pair("Div", (2, 3), (2, 3)), *POSITIVE),
    "div-broadcast": (pair("Div", (2, 1), (3,)), *POSITIVE),
    "div-constant": (single("Div", (1, 3), [normal(2, 3)], order=["c0", "x"]), *POSITIVE),
    "pow-2": (single("Pow", (1, 5), [np.float32(2)]), *ANY),
    "pow-3": (single("Pow", (1, 5), [np.float32(3)]), *ANY),
    "pow-integer": (single("Pow", (1, 5), [np.array(2)]), *ANY),
    "pow-half": (single("Pow", (1, 5), [np.float32(0.5)]), *POSITIVE),
    "pow-1.5": (single("Pow", (1, 5), [np.float32(1.5)]), *POSITIVE),
    "pow--1": (single("Pow", (1, 5), [np.float32(-1)]), *POSITIVE),
    "pow--2": (single("Pow", (1, 5), [np.float32(-2)]), *POSITIVE),
    "pow-0": (single("Pow", (1, 5), [np.float32(0)]), *POSITIVE),
    "pow-1": (single("Pow", (1, 5), [np.float32(1)]), *ANY),
    "pow-several": (single("Pow", (2, 1), [np.float32([2, 1, 3, 2])]), *ANY),
    "pow-exponent": (single("Pow", (1, 3), [np.float32([2, 0.5, 3])], order=["c0", "x"]), *ANY),
    "pow-both": (pair("Pow", (1, 3), (1, 3)), *POSITIVE),
    "mod": (single("Mod", (1, 5), [np.float32([0.7, 1, -1, 2, 0.5])], fmod=1), *ANY),
    "mean": (single("Mean", (1, 3), [normal(3), normal(2, 1)]), *ANY),
    "mean-first": (single("Mean", (1, 3), [normal(3), normal(3)], order=["c0", "c1", "x"]), *ANY),
    "clip-variables": (pair("Clip", (1, 5), (), order=("a", "b")), *ANY),
    "clip-variable-high": (pair("Clip", (1, 5), (), order=("a", "", "b")), *ANY),
    # products of matrices
    "matmul": (pair("MatMul", (2, 3), (3, 4)), *ANY),
    "matmul-heads": (pair("MatMul", (1, 2, 3, 2), (1, 2, 2, 3)), *ANY),
    "matmul-broadcast": (pair("MatMul", (2, 1, 3), (3, 2)), *ANY),
    "matmul-left-vector": (pair("MatMul", (3,), (3, 2)), *ANY),
    "matmul-right-vector": (pair("MatMul", (2, 3), (3,)), *ANY),
    "matmul-dot": (pair("MatMul", (3,), (3,)), *ANY),
    "matmul-batched-vector": (pair("MatMul", (3,), (2, 3, 2)), *ANY),
    "gemm": (pair("Gemm", (2, 3), (3, 2)), *ANY),
    "gemm-all": (pair("Gemm", (3, 2), (4, 3), transA=1, transB=1, alpha=0.5), *ANY),
    "gemm-bias": (pair("Gemm", (2, 3), (3, 3), order=("a", "b", "a"), beta=0.5), *ANY),
    # softmax
    "softmax": (single("Softmax", (2, 4)), *ANY),
    "softmax-axis": (single("Softmax", (2, 4), axis=0), *ANY),
    "softmax-middle": (single("Softmax", (2, 3, 2), axis=1), *ANY),
    "softmax-2": (single("Softmax", (3, 2)), *ANY),
    "softmax-1": (single("Softmax", (3, 1)), *ANY),
    "softmax-11": (single("Softmax", (2, 2, 2), opset=11), *ANY),
    "softmax-11-axis": (single("Softmax", (2, 2, 2), opset=11, axis=2), *ANY),
    "softmax-large": (single("Softmax", (1, 70)), *ANY),
    "log-softmax": (single("LogSoftmax", (2, 4)), *ANY),
    "log-softmax-2": (single("LogSoftmax", (3, 2)), *ANY),
    "log-softmax-1": (single("LogSoftmax", (3, 1)), *ANY),
    "log-softmax-11": (single("LogSoftmax", (2, 2, 2), opset=8), *ANY),
    "log-softmax-large": (single("LogSoftmax", (1, 70)), *ANY),
    # normalisations
    "layer-norm": (single("LayerNormalization", (2, 4), [normal(4), normal(4)], opset=17), *ANY),
    "layer-norm-axis": (single("LayerNormalization", (2, 2, 3), [normal(2, 3)], opset=17, axis=1, epsilon=0.1), *ANY),
    "rms-norm": (single("RMSNormalization", (2, 4), [normal(4)], opset=23), *ANY),
    "rms-norm-axis": (single("RMSNormalization", (2, 2, 3), [normal(2, 3)], opset=23, axis=1, epsilon=0.1), *ANY),
    "instance-norm": (single("InstanceNormalization", IMAGE, [normal(4), normal(4)]), *ANY),
    "group-norm": (single("GroupNormalization", IMAGE, [normal(4), normal(4)], opset=21, num_groups=2), *ANY),
    "mean-variance": (single("MeanVarianceNormalization", IMAGE), *ANY),
    "mean-variance-axes": (single("MeanVarianceNormalization", (2, 5), axes=[-1]), *ANY),
    "lp-1": (single("LpNormalization", (2, 3), p=1, axis=0), *POSITIVE),
    "lp-2": (single("LpNormalization", (2, 3)), *POSITIVE),
    "lrn": (single("LRN", IMAGE, size=3, alpha=0.5, beta=0.6, bias=1.5), *ANY),
}


def sampled(network: Network | Graph, low: float, high: float, count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = network.input.shape if isinstance(network, Graph) else network.input_shape
    return low + (high - low) * torch.rand(count, *shape, generator=generator)


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_onnxruntime(name):
    proto, low, high = CASES[name]
    network = imported(proto)
    assert compare_with_onnxruntime(network, sampled(network, low, high, 5)) < 1e-5


@pytest.mark.parametrize("name", CASES)
def test_bounds_hold_for_every_value(name):
    """Intervals and CROWN bounds of all nodes, on two boxes inside the domain, contain sampled values."""
    proto, low, high = CASES[name]
    graph = simplify(imported(proto).graph)
    corners = sampled(graph, low, high, 4).double()
    box = Interval(torch.minimum(corners[:2], corners[2:]), torch.maximum(corners[:2], corners[2:]))
    found = forward(graph, box), crown_bounds(graph, box, charges=charges(graph, forward(graph, box)))
    for k in range(2):
        points = torch.cat([box[k : k + 1].sample(200, torch.Generator().manual_seed(k)),
                            box.lower[k : k + 1], box.upper[k : k + 1]])
        values = graph.values(points, [node.name for node in graph.nodes])
        for bounds in found:
            for node in graph.nodes:
                value, given = values[node.name], bounds[node.name]
                low, high = (end.expand(2, *node.shape)[k] for end in (given.lower, given.upper))
                assert bool(((low <= value) & (value <= high)).all()), node


def test_layer_norm_tells_its_statistics():
    """Mean and inverse deviation are outputs of their own."""
    norm = single("LayerNormalization", (2, 4), [normal(4)], opset=17, outputs=("z", "mean", "inverse"))
    norm.graph.node.append(helper.make_node("Concat", ["mean", "inverse", "z"], ["y"], axis=1))
    del norm.graph.output[1:]
    norm.graph.output[0].name = "y"
    network = imported(norm)
    assert compare_with_onnxruntime(network, sampled(network, *ANY, 5)) < 1e-5


def test_scale_that_depends_on_the_input():
    network = imported(pair("RMSNormalization", (2, 3), (3,), opset=23))
    assert compare_with_onnxruntime(network, sampled(network, *ANY, 5)) < 1e-5


def test_a_product_of_matrices_reads_each_factor_once():
    names = ops_of(imported(pair("MatMul", (2, 3), (3, 4))))
    assert names[-5:] == ["Gather", "Gather", "Product", "Sum", "Reshape"]


def test_a_value_times_itself_is_a_square():
    assert ops_of(imported(single("Mul", (1, 5), order=["x", "x"]))) == ["Input", "Power"]


@pytest.mark.parametrize("far", [10.0, 1e2, 1e3])
def test_softmax_is_a_probability_however_far_logits_are_apart(far):
    """Also where exp overflows."""
    graph, end = imported(single("Softmax", (1, 3))).graph, torch.full((1, 1, 3), far, dtype=torch.float64)
    box = Interval(-end, end)
    for bounds in (forward(graph, box), crown_bounds(graph, box)):
        found = bounds[graph.output]
        assert bool(((found.lower >= -1e-300) & (found.upper <= 1 + 1e-12)).all())


@pytest.mark.parametrize("proto, limit", [
    (single("LayerNormalization", (1, 5), [np.ones(5)], opset=17), 2),
    (single("RMSNormalization", (1, 4), [np.ones(4)], opset=23), 2),
    (single("InstanceNormalization", (1, 2, 5), [np.ones(2), np.zeros(2)]), 2),
    (single("Softmax", (1, 70)), 1),
], ids=lambda case: case.graph.node[0].op_type if isinstance(case, ModelProto) else "")
def test_normalised_values_are_bounded_whatever_the_box(proto, limit):
    """Also where all values may be equal, so that the variance is only known to be at least 0."""
    graph = imported(proto).graph
    end = torch.full((1, *graph.input.shape), 300.0, dtype=torch.float64)
    for bounds in (forward(graph, Interval(-end, end)), crown_bounds(graph, Interval(-end, end))):
        found = bounds[graph.output]
        assert found.magnitude.max() < limit + 1e-6
        points = end * torch.cat([torch.eye(end.numel()), -torch.eye(end.numel())]).reshape(-1, *graph.input.shape)
        values = graph.evaluate(points.double())
        assert bool(((found.lower <= values) & (values <= found.upper)).all())


@pytest.mark.parametrize(
    "proto, word",
    [
        (single("Pow", (1, 3), [np.float32([-1, 1, 1])], order=["c0", "x"]), "positive"),
        (single("Celu", (1, 3), alpha=-1.0), "alpha"),
        (single("Selu", (1, 3), gamma=-1.0), "gamma"),
        (single("Shrink", (1, 3), lambd=-1.0), "lambd"),
        (single("LpNormalization", (1, 3), p=3), "p = 3"),
    ],
)
def test_refused_by_name(proto, word):
    with pytest.raises(UnsupportedOperator, match=word):
        imported(proto)


def test_huge_products_are_refused():
    with pytest.raises(UnsupportedOperator, match="products of two variables"):
        imported(pair("MatMul", (1100, 400), (400, 400)))


@pytest.mark.parametrize(
    "proto",
    [
        pair("MatMul", (2, 3), (2, 4)),
        pair("Gemm", (2, 3), (2, 4)),
        single("GroupNormalization", IMAGE, [normal(4), normal(4)], opset=21, num_groups=3),
        single("Softmax", (2, 3), axis=5),
        single("Pow", (1, 3), [normal(2)]),
        single("LayerNormalization", (2, 4), [normal(3)], opset=17),
    ],
    ids=lambda proto: proto.graph.node[-1].op_type,
)
def test_malformed_nodes_are_named(proto):
    with pytest.raises(InvalidInput) as caught:
        imported(proto)
    assert f"'{proto.graph.node[-1].name}'" in str(caught.value)


def test_division_by_zero_is_invalid():
    with pytest.raises(InvalidInput, match="zero"):
        imported(single("Mod", (1, 2), [np.float32([1, 0])], fmod=1))
