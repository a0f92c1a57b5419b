"""Every operator of the checker, attribute variants and opsets, against the prover's import and onnxruntime."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.verify.certificate.checker.evaluate import agrees, values
from tests.verify.onnx_import.models import constant, model, single
from tests.verify.onnx_import.ops.test_ops import CASES, IMAGE, ints, normal
from verify.certificate.checker.errors import Rejected
from verify.certificate.checker.network import load_network
from verify.certificate.checker.operators import OPERATORS
from verify.certificate.checker.ops import Conv, Dense, Scale

# Forms that the prover translates and the checker does not.
REFUSED = frozenset({
    "max-three", "matmul-batched", "matmul-batched-left", "matmul-dot", "gemm-variable-bias", "mean-all",
    "mean-pool-ceil", "pad-reflect", "pad-edge", "matmul-vector", "matmul-left-vector", "matmul-of-vector", "gemm-left",
    "gemm-left-transposed", "gemm-all", "gemm-matrix-bias", "max-pool-ceil", "total-noop",
    "max-pool-upper", "max-pool-lower", "mean-pool-upper", "conv-upper", "conv-lower", "conv-valid", "pad-cuts",
    "pad-axes",
})
READ = [name for name, proto in CASES.items() if proto.graph.node[0].op_type in OPERATORS and name not in REFUSED]


@pytest.mark.parametrize("name", READ)
def test_agrees_with_the_prover_and_onnxruntime(name):
    agrees(CASES[name].SerializeToString())


@pytest.mark.parametrize("name", sorted(set(CASES) - set(READ)))
def test_other_forms_are_refused_by_name(name):
    with pytest.raises(Rejected, match=CASES[name].graph.node[0].op_type) as caught:
        load_network(CASES[name].SerializeToString())
    assert "\n" not in str(caught.value)


def test_several_operators_in_a_row():
    nodes = [
        helper.make_node("Split", ["x", "sizes"], ["a", "b"], axis=1),
        helper.make_node("Max", ["a", "b"], ["m"]),
        helper.make_node("Min", ["m", "a", "b"], ["n"]),
        helper.make_node("Abs", ["n"], ["p"]),
        helper.make_node("Concat", ["p", "c", "x"], ["q"], axis=1),
        helper.make_node("Sub", ["q", "q"], ["z"]),
        helper.make_node("Add", ["q", "z"], ["y"]),
    ]
    agrees(model(nodes, (1, 6), [constant("sizes", [3, 3], np.int64), constant("c", [[1.0, 2]])]).SerializeToString())


@pytest.mark.parametrize(
    "proto",
    [
        single("ReduceSum", (2, 3), [ints(1)], noop_with_empty_axes=1),
        single("MaxPool", (1, 1, 5, 5), kernel_shape=[2, 2], strides=[3, 3], ceil_mode=1),
        single("Split", (1, 4), opset=18, axis=1, num_outputs=1),
        single("Gemm", (2, 3), [normal(4, 3), normal(2, 1)], transB=1),
        single("Gemm", (3, 2), [normal(3, 4), normal(4)], transA=1),
        single("Min", (1, 5), [normal(5)], order=["c0", "x"]),
    ],
    ids=lambda proto: proto.graph.node[0].op_type,
)
def test_further_forms(proto):
    agrees(proto.SerializeToString())


@pytest.mark.parametrize("opset", [8, 13])
def test_shapes_that_are_computed(opset):
    axes = {"axes": [0]} if opset < 13 else {}
    more = [] if opset < 13 else ["zero"]
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "one"], ["c"], axis=0),
        helper.make_node("Mul", ["c", "six"], ["n"]),
        helper.make_node("Unsqueeze", ["n", *more], ["u"], **axes),
        helper.make_node("Cast", ["u"], ["v"], to=TensorProto.INT64),
        helper.make_node("Concat", ["minus", "v"], ["t"], axis=0),
        helper.make_node("Reshape", ["x", "t"], ["r"]),
        helper.make_node("Relu", ["r"], ["y"]),
    ]
    known = [constant(n, v, np.int64) for n, v in (("one", 1), ("six", 6), ("zero", [0]), ("minus", [-1]))]
    assert agrees(model(nodes, (1, 3, 2, 3), known, opset).SerializeToString()).output_shape == (1, 18)


def test_double_precision_networks():
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Sigmoid", ["h"], ["y"])]
    proto = model(nodes, (1, 4), [constant("w", normal(4, 3), np.float64)], elem=TensorProto.DOUBLE)
    network = agrees(proto.SerializeToString())
    assert network.dtype == "float64"
    with pytest.raises(Rejected, match="of type float32"):
        load_network(model(nodes, (1, 4), [constant("w", normal(4, 3))], elem=TensorProto.DOUBLE).SerializeToString())


def exact_distance(proto, formula, points: int = 5) -> None:
    """All steps' exact results lie within their uncertainty of formula(x), in rational arithmetic."""
    network = load_network(proto.SerializeToString())
    lift = np.vectorize(Fraction, otypes=[object])
    x = lift(np.random.default_rng(1).integers(-99, 99, network.input_shape) / 64)
    exact = [None] + [step.op.cast(lift) for step in network.steps[1:]]
    found, slack = [x], [0 * x]
    for step, op in zip(network.steps[1:], exact[1:], strict=True):
        inputs = [found[i] for i in step.inputs]
        found.append(op.forward(inputs))
        own = step.op.uncertainty([np.abs(v).astype(np.float64) for v in inputs])
        slack.append(op.spread([slack[i] for i in step.inputs]) + lift(np.broadcast_to(own, step.shape)))
    wanted = formula(x)
    assert (np.abs(found[-1] - wanted) <= slack[-1]).all()
    assert (slack[-1].astype(float) <= 2.0**-40 * (1 + np.abs(wanted.astype(float)))).all()


def test_reciprocals_hold_the_exact_quotient_within_their_error():
    lift = np.vectorize(Fraction, otypes=[object])
    divisor = np.float32([3, 0.1, -7, 0.5])
    proto = single("Div", (1, 4), [divisor])
    exact_distance(proto, lambda x: x / lift(divisor.astype(float)))
    error = load_network(proto.SerializeToString()).steps[-1].op.scale_error
    assert (error.ravel() > 0).tolist() == [True, True, True, False]
    exact_distance(single("ReduceMean", (1, 7), axes=[1]), lambda x: x.sum(keepdims=True) / 7)
    exact = load_network(single("AveragePool", IMAGE, kernel_shape=[2, 2]).SerializeToString())
    assert all(np.all(step.op.uncertainty([np.ones(exact.steps[i].shape) for i in step.inputs]) == 0)
               for step in exact.steps[1:])


@pytest.mark.parametrize("gain", [0.0, 1.0, 3e4, 1e-30])
def test_batch_normalisation_holds_the_exact_value_within_its_error(gain):
    bias, mean, variance = np.float32([0.1, 3]), np.float32([1e3, -0.7]), np.float32([0.3, 7])
    proto = single("BatchNormalization", (1, 2), [np.float32([gain, 1]), bias, mean, variance], opset=15)

    def formula(x: np.ndarray) -> np.ndarray:
        scale = 10**40
        y = []
        for k, v in enumerate(x.ravel()):
            total = Fraction(float(variance[k])) + Fraction(float(np.float32(1e-5)))
            # floor of the root of total * scale^2: forty digits
            square = total.numerator * scale**2 // total.denominator
            root = int(square**0.5)
            for _ in range(60):
                root = (root + square // root) // 2
            factor = Fraction(float(np.float32([gain, 1])[k])) * scale / root
            y.append((v - Fraction(float(mean[k]))) * factor + Fraction(float(bias[k])))
        return np.array(y, dtype=object).reshape(x.shape)

    exact_distance(proto, formula)


def test_a_slope_and_its_complement_add_up_to_one():
    for alpha in (0.01, 0.3, 1e-20, 1.7):
        network = load_network(single("LeakyRelu", (1, 3), alpha=alpha).SerializeToString())
        scales = [step.op for step in network.steps if isinstance(step.op, Scale)]
        total = sum(Fraction(float(op.scale.flat[0])) for op in scales)
        error = sum(Fraction(float(op.scale_error.flat[0])) for op in scales)
        assert abs(total - 1) <= error <= Fraction(1, 2**49)


def roundings(proto) -> list[int | None]:
    return [step.op.roundings for step in load_network(proto.SerializeToString()).steps[1:]]


def test_roundings_of_a_float32_execution():
    assert set(roundings(single("MaxPool", IMAGE, kernel_shape=[3, 2]))) == {None}
    assert set(roundings(single("Clip", (1, 9), [np.float32(0.1), np.float32(0.7)]))) == {None}
    assert set(roundings(single("Abs", (1, 3)))) == set(roundings(single("Neg", (1, 3)))) == {None}
    assert sorted(roundings(single("LeakyRelu", (1, 3))), key=str) == [1, None, None, None]
    assert roundings(single("Add", (1, 3), [normal(3)])) == roundings(single("Mul", (1, 3), [normal(3)])) == [1]
    assert roundings(single("BatchNormalization", (1, 1), [normal(1)] * 3 + [[1.0]], opset=15)) == [6, 6]


def test_weights_are_those_of_the_file():
    weight = normal(4, 3, 2, 2)
    network = load_network(single("Conv", IMAGE, [weight, normal(4)]).SerializeToString())
    assert isinstance(network.steps[1].op, Conv) and np.array_equal(network.steps[1].op.weight, weight)
    network = load_network(single("Gemm", (1, 4), [weight[:, :, 0, 0], normal(3)]).SerializeToString())
    assert isinstance(network.steps[1].op, Dense) and np.array_equal(network.steps[1].op.weight, weight[:, :, 0, 0].T)


@pytest.mark.parametrize(
    "proto, word",
    [
        (single("Relu", (1, 3), order=["x", "x"]), "input 1"),
        (single("Relu", (1, 3), slope=0.5), "attribute slope"),
        (single("Clip", (1, 3), [np.float32(0), np.float32(1)], opset=10), "input 1"),
        (single("Clip", (1, 3), opset=13, min=0.0), "attribute min"),
        (single("Clip", (1, 3), [None, np.float32(3.4e38)]), "limits"),
        (single("Clip", (1, 3), [np.float32("nan")]), "limits"),
        (single("Clip", (1, 3), [np.float32(1), np.float32(0)]), "limits"),
        (single("Squeeze", (1, 3), opset=13, axes=[0]), "attribute axes"),
        (single("ReduceMean", (1, 3), [ints(1)], opset=13), "input 1"),
        (single("Div", (1, 2), [np.float32([1, 0])]), "infinite"),
        (single("Div", (1, 2), [np.float32([1, 2])], order=["c0", "x"]), "depends on the network input"),
        (single("Mul", (1, 3), order=["x", "x"]), "depends on the network input"),
        (single("MatMul", (3, 3), order=["x", "x"]), "depends on the network input"),
        (single("MatMul", (1, 3), [normal(4, 2)]), "do not fit"),
        (single("Gemm", (1, 3), [normal(4, 2)]), "do not fit"),
        (single("Gemm", (1, 3), [normal(3, 2), np.float32([1, "nan"])]), "NaN"),
        (single("Conv", IMAGE, [normal(4, 2, 3, 3)]), "do not fit"),
        (single("Conv", IMAGE, [normal(4, 3, 3, 3)], kernel_shape=[2, 2]), "kernel_shape"),
        (single("Conv", IMAGE, [normal(4, 3, 9, 9)]), "do not fit"),
        (single("Conv", IMAGE, [normal(4, 3, 3, 3)], pads=[-1, 0, 0, 0]), "pads"),
        (single("Conv", (1, 1, 3, 3, 3), [normal(1, 1, 2, 2, 2)]), "do not fit"),
        (single("BatchNormalization", IMAGE, [normal(3)] * 3 + [-np.ones(3)], opset=15), "positive"),
        (single("BatchNormalization", IMAGE, [normal(3)] * 3 + [np.ones(3)], opset=15, training_mode=1), "inference"),
        (single("Dropout", (1, 3), [np.float32(0.5), np.array(True)]), "training"),
        (single("Cast", (1, 3), to=TensorProto.INT64), "cast"),
        (single("Cast", (1, 3), to=TensorProto.DOUBLE), "cast"),
        (single("Pad", (1, 3), [ints(0, 1, 0, 1), np.float32("-inf")]), "infinite"),
        (single("Slice", (1, 3), [ints(2), ints(2), ints(1)]), "shape"),
        (single("Gather", (1, 3), [ints(9)], axis=1), "malformed"),
        (single("Transpose", (1, 3), perm=[0, 0]), "malformed"),
        (single("Reshape", (1, 4), [ints(-1, -1)]), "malformed"),
        (single("Unsqueeze", (1, 3), [ints(0, 0)]), "malformed"),
        (single("Reshape", (1, 4), [ints(-2, 4)]), "sizes"),
        (single("Add", (1, 3), [normal(4)]), "malformed"),
        (single("Concat", (1, 3), order=["x", "x"]), "malformed"),
        (single("MaxPool", (1, 1, 2, 2), kernel_shape=[3, 3], ceil_mode=1), "do not fit"),
        (single("MaxPool", (1, 1, 3, 3), kernel_shape=[2, 2], pads=[0, 0, 0]), "pads"),
        (single("Split", (1, 4), opset=18, axis=1, num_outputs=2), "parts"),
        (single("Max", (1, 2), [np.float32([0, np.inf])]), "infinite"),
        (single("Softmax", (1, 3)), "not supported"),
    ],
)
def test_refused_by_name(proto, word):
    with pytest.raises(Rejected, match=word) as caught:
        load_network(proto.SerializeToString())
    node = proto.graph.node[0]
    assert f"{node.name!r} ({node.op_type}" in str(caught.value) and "\n" not in str(caught.value)


def test_indices_of_a_maximum_have_no_value():
    nodes = [helper.make_node("MaxPool", ["x"], ["m", "i"], kernel_shape=[2, 2]), helper.make_node("Abs", ["i"], ["y"])]
    with pytest.raises(Rejected, match="reads 'i'"):
        load_network(model(nodes, IMAGE).SerializeToString())


def test_exact_numbers_pass_through_a_whole_network():
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 0, 0, 1]),
        helper.make_node("MaxPool", ["a"], ["b"], kernel_shape=[2, 2]),
        helper.make_node("Flatten", ["b"], ["c"]),
        helper.make_node("Gemm", ["c", "v", "u"], ["y"]),
    ]
    known = [constant("w", normal(2, 1, 2, 2)), constant("v", normal(18, 3)), constant("u", normal(3))]
    network = load_network(model(nodes, (1, 1, 4, 4), known).SerializeToString())
    lift = np.vectorize(Fraction, otypes=[object])
    x = rng_input(network.input_shape)
    exact = replace(network, steps=tuple(replace(step, op=step.op.cast(lift)) for step in network.steps))
    assert np.abs(values(exact, lift(x))[-1].astype(float) - values(network, x)[-1]).max() < 1e-12


def rng_input(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(2).standard_normal(shape)
