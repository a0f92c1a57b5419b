"""Every ONNX operator, attribute variants and opsets, against onnxruntime on random inputs."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.verify.onnx_import.models import agrees, constant, imported, model, ops_of, single
from verify.errors import InvalidInput, ShapeMismatch, UnsupportedOperator
from verify.ops import Relu, Sigmoid, Tanh

rng = np.random.default_rng(7)


def normal(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


IMAGE = (1, 3, 6, 7)
CASES = {
    # activations
    "relu": single("Relu", (1, 4)),
    "relu-8": single("Relu", (1, 4), opset=8),
    "relu-14": single("Relu", (4,), opset=14),
    "sigmoid": single("Sigmoid", (1, 4)),
    "tanh": single("Tanh", (2, 4)),
    "leaky": single("LeakyRelu", (1, 5)),
    "leaky-alpha": single("LeakyRelu", (1, 5), alpha=0.3, opset=16),
    "leaky-above-1": single("LeakyRelu", (1, 5), alpha=1.7),
    "prelu": single("PRelu", IMAGE, [normal(3, 1, 1)]),
    "prelu-scalar": single("PRelu", (1, 5), [normal(1)], opset=9),
    "clip": single("Clip", (1, 9), [np.float32(-0.3), np.float32(0.7)]),
    "clip-6": single("Clip", (1, 9), opset=8, min=-0.5, max=0.25),
    "clip-6-low": single("Clip", (1, 9), opset=10, min=0.1),
    "clip-low": single("Clip", (1, 9), [np.float32(0.2)], opset=11),
    "clip-high": single("Clip", (1, 9), [None, np.float32(0.2)], opset=12),
    "clip-none": single("Clip", (1, 9)),
    "clip-infinite": single("Clip", (1, 9), [np.float32(0), np.float32("inf")]),
    "hard-sigmoid": single("HardSigmoid", (1, 9), alpha=0.4, beta=0.4),
    "abs": single("Abs", (1, 9)),
    "neg": single("Neg", (1, 9)),
    # arithmetic
    "add-right": single("Add", (1, 3), [normal(3)]),
    "add-left": single("Add", (1, 3), [normal(3)], order=["c0", "x"]),
    "add-scalar": single("Add", (1, 3), [normal()]),
    "add-enlarges": single("Add", (1, 3), [normal(4, 3)]),
    "add-rank": single("Add", (3,), [normal(2, 1)]),
    "add-self": single("Add", (1, 3), order=["x", "x"]),
    "sub-right": single("Sub", (1, 3), [normal(3)]),
    "sub-left": single("Sub", (1, 3), [normal(3)], order=["c0", "x"]),
    "sub-left-enlarges": single("Sub", (1, 3, 1, 1), [normal(1, 3, 2, 2)], order=["c0", "x"], opset=8),
    "mul": single("Mul", IMAGE, [normal(3, 1, 1)]),
    "mul-left": single("Mul", (1, 3), [normal(1)], order=["c0", "x"]),
    "div": single("Div", IMAGE, [normal(1, 3, 1, 1) + 3]),
    "div-14": single("Div", (1, 3), [normal(3) + 5], opset=14),
    "sum": single("Sum", (1, 3), [normal(3), normal(2, 1)]),
    "sum-first": single("Sum", (1, 3), [normal(3)], order=["c0", "x"]),
    "max-constant": single("Max", (1, 5), [normal(5)]),
    "max-scalar": single("Max", (1, 5), [normal(1)], order=["c0", "x"]),
    "min-constant": single("Min", (1, 5), [normal(2, 5)]),
    "min-scalar": single("Min", (1, 5), [normal(1)], opset=8),
    "max-three": single("Max", (1, 5), [normal(5), normal(5)], order=["c0", "c1", "x"]),
    "max-one": single("Max", (1, 5)),
    "where": single("Where", (1, 4), [np.array([1, 0, 1, 0], bool), normal(4)], order=["c0", "x", "c1"]),
    "where-rows": single("Where", (1, 4), [np.array([[1], [0]], bool), normal(4)], order=["c0", "c1", "x"], opset=16),
    # dense
    "matmul": single("MatMul", (1, 4), [normal(4, 3)]),
    "matmul-3d": single("MatMul", (1, 5, 4), [normal(4, 3)]),
    "matmul-vector": single("MatMul", (1, 4), [normal(4)]),
    "matmul-left": single("MatMul", (4, 2), [normal(3, 4)], order=["c0", "x"]),
    "matmul-left-3d": single("MatMul", (1, 4, 2), [normal(3, 4)], order=["c0", "x"]),
    "matmul-left-vector": single("MatMul", (1, 4, 2), [normal(4)], order=["c0", "x"]),
    "matmul-of-vector": single("MatMul", (4,), [normal(3, 4)], order=["c0", "x"]),
    "matmul-dot": single("MatMul", (4,), [normal(4)], order=["c0", "x"]),
    "matmul-batched": single("MatMul", (2, 3, 4), [normal(2, 4, 2)]),
    "matmul-batched-left": single("MatMul", (3, 2), [normal(2, 2, 3)], order=["c0", "x"]),
    "gemm": single("Gemm", (1, 4), [normal(4, 3), normal(3)]),
    "gemm-8": single("Gemm", (1, 4), [normal(4, 3), normal(3)], opset=8),
    "gemm-no-bias": single("Gemm", (1, 4), [normal(4, 3)]),
    "gemm-scalar-bias": single("Gemm", (1, 4), [normal(4, 3), normal()]),
    "gemm-bias-1": single("Gemm", (1, 4), [normal(4, 3), normal(1, 1)]),
    "gemm-bias-row": single("Gemm", (2, 4), [normal(4, 3), normal(1, 3)]),
    "gemm-all": single("Gemm", (4, 2), [normal(3, 4), normal(2, 1)], alpha=0.5, beta=-1.5, transA=1, transB=1),
    "gemm-matrix-bias": single("Gemm", (2, 4), [normal(4, 3), normal(2, 3)], beta=2.0),
    "gemm-left": single("Gemm", (4, 2), [normal(3, 4), normal(2)], order=["c0", "x", "c1"], alpha=2.0),
    "gemm-left-transposed": single(
        "Gemm", (2, 4), [normal(4, 3), normal(3, 1)], order=["c0", "x", "c1"], transA=1, transB=1
    ),
    "gemm-variable-bias": single("Gemm", (1, 4), [normal(1, 3), normal(3, 4)], order=["c0", "c1", "x"], beta=0.5),
    # convolutions
    "conv": single("Conv", IMAGE, [normal(4, 3, 3, 2), normal(4)]),
    "conv-8": single("Conv", IMAGE, [normal(4, 3, 3, 3)], opset=8),
    "conv-stride": single("Conv", IMAGE, [normal(4, 3, 3, 3), normal(4)], strides=[2, 3], pads=[1, 2, 1, 2]),
    "conv-uneven": single("Conv", IMAGE, [normal(4, 3, 3, 3)], pads=[0, 1, 2, 0]),
    "conv-dilation": single("Conv", IMAGE, [normal(4, 3, 2, 3)], dilations=[3, 2], pads=[1, 1, 1, 1]),
    "conv-groups": single("Conv", (1, 4, 5, 5), [normal(6, 2, 3, 3), normal(6)], group=2),
    "conv-depthwise": single("Conv", IMAGE, [normal(3, 1, 2, 2)], group=3, strides=[2, 2]),
    "conv-upper": single("Conv", IMAGE, [normal(2, 3, 4, 3)], auto_pad="SAME_UPPER", strides=[2, 2]),
    "conv-lower": single("Conv", IMAGE, [normal(2, 3, 4, 2)], auto_pad="SAME_LOWER", strides=[1, 2]),
    "conv-valid": single("Conv", IMAGE, [normal(2, 3, 4, 2)], auto_pad="VALID"),
    "conv-batch": single("Conv", (2, 3, 5, 5), [normal(2, 3, 3, 3)]),
    "conv-1d": single("Conv", (1, 3, 9), [normal(4, 3, 3), normal(4)], strides=[2], pads=[2, 1], dilations=[2]),
    "deconv": single("ConvTranspose", IMAGE, [normal(3, 4, 3, 3), normal(4)]),
    "deconv-stride": single(
        "ConvTranspose", IMAGE, [normal(3, 4, 3, 3)], strides=[2, 3], pads=[1, 0, 1, 0], output_padding=[1, 2]
    ),
    "deconv-uneven": single(
        "ConvTranspose",
        IMAGE,
        [normal(3, 2, 3, 3), normal(2)],
        strides=[2, 2],
        pads=[0, 1, 2, 1],
        output_padding=[1, 0],
    ),
    "deconv-groups": single("ConvTranspose", (1, 4, 5, 5), [normal(4, 3, 3, 2), normal(6)], group=2, dilations=[2, 1]),
    "deconv-shape": single("ConvTranspose", (1, 2, 4, 4), [normal(2, 3, 3, 3)], strides=[2, 2], output_shape=[8, 8]),
    "deconv-upper": single("ConvTranspose", (1, 2, 4, 4), [normal(2, 3, 3, 3)], strides=[2, 2], auto_pad="SAME_UPPER"),
    "deconv-lower": single("ConvTranspose", (1, 2, 4, 4), [normal(2, 3, 3, 3)], strides=[2, 2], auto_pad="SAME_LOWER"),
    "deconv-valid": single("ConvTranspose", (1, 2, 4, 4), [normal(2, 3, 3, 3)], auto_pad="VALID", opset=8),
    "deconv-1d": single("ConvTranspose", (1, 2, 5), [normal(2, 3, 3), normal(3)], strides=[2], pads=[1, 1]),
    "norm": single("BatchNormalization", IMAGE, [normal(3), normal(3), normal(3), abs(normal(3)) + 0.1], opset=15),
    "norm-8": single(
        "BatchNormalization", IMAGE, [normal(3), normal(3), normal(3), abs(normal(3))], opset=8, epsilon=1e-2
    ),
    "norm-flat": single("BatchNormalization", (1, 3), [normal(3), normal(3), normal(3), abs(normal(3))], opset=9),
    # pools
    "max-pool": single("MaxPool", IMAGE, kernel_shape=[2, 2]),
    "max-pool-3": single("MaxPool", IMAGE, kernel_shape=[3, 2], strides=[2, 1]),
    "max-pool-pads": single("MaxPool", IMAGE, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], opset=8),
    "max-pool-uneven": single("MaxPool", IMAGE, kernel_shape=[3, 3], pads=[0, 1, 2, 0], opset=12),
    "max-pool-ceil": single("MaxPool", IMAGE, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1, opset=10),
    "max-pool-ceil-pads": single(
        "MaxPool", (1, 1, 7, 7), kernel_shape=[3, 3], strides=[3, 3], pads=[1, 1, 1, 1], ceil_mode=1
    ),
    "max-pool-dilation": single("MaxPool", IMAGE, kernel_shape=[2, 3], dilations=[2, 2], opset=11),
    "max-pool-upper": single("MaxPool", IMAGE, kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_UPPER"),
    "max-pool-lower": single("MaxPool", IMAGE, kernel_shape=[2, 2], auto_pad="SAME_LOWER"),
    "max-pool-1d": single("MaxPool", (1, 2, 9), kernel_shape=[4], strides=[3]),
    "max-pool-one": single("MaxPool", IMAGE, kernel_shape=[1, 1], strides=[2, 2]),
    "mean-pool": single("AveragePool", IMAGE, kernel_shape=[2, 2], strides=[2, 2]),
    "mean-pool-pads": single("AveragePool", IMAGE, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2], opset=8),
    "mean-pool-include": single("AveragePool", IMAGE, kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
    "mean-pool-uneven": single("AveragePool", IMAGE, kernel_shape=[3, 2], pads=[0, 1, 2, 0], opset=11),
    "mean-pool-uneven-include": single(
        "AveragePool", IMAGE, kernel_shape=[3, 2], pads=[0, 1, 2, 0], count_include_pad=1
    ),
    "mean-pool-ceil": single("AveragePool", IMAGE, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1, opset=19),
    "mean-pool-upper": single("AveragePool", IMAGE, kernel_shape=[3, 2], strides=[2, 2], auto_pad="SAME_UPPER"),
    "mean-pool-dilation": single("AveragePool", IMAGE, kernel_shape=[2, 2], dilations=[2, 3], opset=19),
    "mean-pool-1d": single("AveragePool", (1, 2, 9), kernel_shape=[3], strides=[2], pads=[1, 1]),
    "global-mean": single("GlobalAveragePool", IMAGE),
    "global-max": single("GlobalMaxPool", IMAGE),
    # shapes and moves
    "flatten": single("Flatten", IMAGE),
    "flatten-0": single("Flatten", (2, 3), axis=0),
    "flatten-2": single("Flatten", IMAGE, axis=2, opset=8),
    "flatten-negative": single("Flatten", IMAGE, axis=-1),
    "flatten-all": single("Flatten", (2, 3), axis=2),
    "reshape": single("Reshape", IMAGE, [ints(1, -1)]),
    "reshape-0": single("Reshape", IMAGE, [ints(0, 6, -1)], opset=8),
    "reshape-allowzero": single("Reshape", IMAGE, [ints(7, 18)], opset=14, allowzero=1),
    "transpose": single("Transpose", IMAGE, perm=[0, 2, 3, 1]),
    "transpose-default": single("Transpose", (2, 3, 4), opset=21),
    "squeeze": single("Squeeze", (1, 3, 1), [ints(-1)]),
    "squeeze-all": single("Squeeze", (1, 3, 1)),
    "squeeze-8": single("Squeeze", (1, 3, 1), opset=8, axes=[0, 2]),
    "unsqueeze": single("Unsqueeze", (1, 3), [ints(-1, 1)]),
    "unsqueeze-11": single("Unsqueeze", (1, 3), opset=11, axes=[-2, 0]),
    "unsqueeze-8": single("Unsqueeze", (1, 3), opset=8, axes=[2]),
    "concat": single("Concat", (1, 3), [normal(1, 2)], order=["c0", "x", "x"], axis=-1),
    "concat-0": single("Concat", (2, 3), order=["x", "x"], axis=0, opset=8),
    "slice": single("Slice", IMAGE, [ints(1, -3), ints(3, 9), ints(1, -1)], opset=10),
    "slice-steps": single("Slice", IMAGE, [ints(0, 5), ints(6, 0), ints(3, 2), ints(2, -2)]),
    "slice-reverse": single("Slice", (1, 5), [ints(-1), ints(-(2**62)), ints(1), ints(-1)]),
    "slice-reverse-part": single("Slice", (1, 5), [ints(99), ints(-5), ints(1), ints(-1)]),
    "slice-no-axes": single("Slice", (2, 5), [ints(0, 1), ints(1, 2**62)]),
    "slice-9": single("Slice", IMAGE, opset=9, starts=[0, 1], ends=[1000, -1], axes=[0, 3]),
    "gather": single("Gather", IMAGE, [ints(0, -1)], axis=1),
    "gather-scalar": single("Gather", (1, 5), [np.array(2)], axis=1),
    "gather-matrix": single("Gather", (3, 2), [np.array([[0, 2], [1, 1]])], opset=8),
    "gather-elements": single("GatherElements", (2, 3), [np.array([[0, -1]])], axis=1),
    "pad": single("Pad", IMAGE, [ints(0, 0, 1, 2, 0, 0, 0, 1)]),
    "pad-value": single("Pad", (1, 3), [ints(0, 1, 0, 2), np.float32(-2)], opset=11),
    "pad-8": single("Pad", IMAGE, opset=8, pads=[0, 0, 2, 1, 0, 0, 1, 0], value=1.5),
    "pad-cuts": single("Pad", IMAGE, [ints(0, 0, -1, 1, 0, 0, 2, -2)]),
    "pad-axes": single("Pad", IMAGE, [ints(1, 2), np.float32(1), ints(-1)], opset=18),
    "pad-reflect": single("Pad", IMAGE, [ints(0, 0, 2, 1, 0, 0, 1, 3)], mode="reflect"),
    "pad-edge": single("Pad", IMAGE, opset=10, pads=[0, 0, 2, 1, 0, 0, 1, 3], mode="edge"),
    "pad-nothing": single("Pad", (1, 3), [ints(0, 0, 0, 0)]),
    "expand": single("Expand", (1, 3), [ints(4, 3)]),
    "expand-back": single("Expand", (2, 3), [ints(1)], opset=8),
    "tile": single("Tile", (1, 3), [ints(2, 2)]),
    "depth": single("DepthToSpace", (1, 8, 2, 3), blocksize=2),
    "depth-crd": single("DepthToSpace", (1, 8, 2, 3), blocksize=2, mode="CRD"),
    "space": single("SpaceToDepth", (1, 2, 4, 6), blocksize=2),
    "upsample-8": single("Upsample", IMAGE, opset=8, mode="nearest", scales=[1.0, 1.0, 2.0, 3.0]),
    "upsample-9": single("Upsample", IMAGE, [np.float32([1, 1, 2, 2])], opset=9),
    "resize-10": single("Resize", IMAGE, [np.float32([1, 1, 2, 2])], opset=10),
    "resize": single("Resize", IMAGE, [None, np.float32([1, 1, 3, 2])], opset=13),
    "resize-floor": single(
        "Resize",
        IMAGE,
        [np.float32([]), np.float32([1, 1, 2, 2])],
        opset=11,
        nearest_mode="floor",
        coordinate_transformation_mode="asymmetric",
    ),
    "resize-ceil": single("Resize", IMAGE, [None, np.float32([1, 1, 2, 2])], opset=13, nearest_mode="ceil"),
    "resize-sizes": single(
        "Resize",
        IMAGE,
        [None, None, ints(1, 3, 12, 14)],
        opset=18,
        nearest_mode="round_prefer_ceil",
        coordinate_transformation_mode="align_corners",
    ),
    # reductions
    "mean": single("ReduceMean", IMAGE, axes=[2, 3]),
    "mean-all": single("ReduceMean", (2, 3), keepdims=0),
    "mean-18": single("ReduceMean", IMAGE, [ints(-1)], opset=18, keepdims=0),
    "total-8": single("ReduceSum", IMAGE, opset=8, axes=[1], keepdims=0),
    "total": single("ReduceSum", IMAGE, [ints(1, 2)]),
    "total-noop": single("ReduceSum", (2, 3), noop_with_empty_axes=1),
    "largest": single("ReduceMax", IMAGE, axes=[1]),
    "smallest": single("ReduceMin", (1, 5), axes=[1], keepdims=0),
    "largest-18": single("ReduceMax", IMAGE, [ints(2, 3)], opset=18),
    # nothing
    "identity": single("Identity", (1, 3)),
    "dropout": single("Dropout", (1, 3)),
    "dropout-8": single("Dropout", (1, 3), opset=8, ratio=0.3),
    "dropout-12": single("Dropout", (1, 3), [np.float32(0.5), np.array(False)], opset=12),
    "cast": single("Cast", (1, 3), to=TensorProto.FLOAT),
}


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_onnxruntime(name):
    network = agrees(CASES[name])
    assert {type(node.op) for node in network.graph.nonlinear} <= {Relu, Sigmoid, Tanh}


@pytest.mark.parametrize("opset", [8, 9, 10, 11, 12, 13, 17, 18, 21, 23])
def test_plain_network_in_every_opset(opset):
    flat, weight = helper.make_node("Flatten", ["x"], ["f"]), constant("w", normal(12, 3))
    nodes = [flat, helper.make_node("Gemm", ["f", "w", "b"], ["g"]), helper.make_node("Relu", ["g"], ["y"])]
    agrees(model(nodes, (1, 3, 2, 2), [weight, constant("b", normal(3))], opset))


@pytest.mark.parametrize("opset", [8, 13, 18])
def test_split(opset):
    sizes = {"split": [1, 4]} if opset < 13 else {}
    names = ["x"] if opset < 13 else ["x", "s"]
    nodes = [helper.make_node("Split", names, ["a", "b"], axis=-1, **sizes), helper.make_node("Sub", ["b", "a"], ["y"])]
    agrees(model(nodes, (1, 5), [] if opset < 13 else [constant("s", [1, 4], np.int64)], opset))


def test_split_into_equal_parts_last_one_smaller():
    split = helper.make_node("Split", ["x"], ["a", "b"], axis=1, num_outputs=2)
    nodes = [split, helper.make_node("Concat", ["b", "a"], ["y"], axis=1)]
    agrees(model(nodes, (1, 5), [], 18))


def test_max_and_min_of_two_variables_with_broadcasting():
    nodes = [
        helper.make_node("Flatten", ["x"], ["f"], axis=2),
        helper.make_node("Max", ["x", "f"], ["a"]),
        helper.make_node("Min", ["a", "f", "x"], ["y"]),
    ]
    agrees(model(nodes, (1, 3), []))


def test_max_pool_ignores_padding_when_all_entries_are_negative():
    nodes = [
        helper.make_node("Sub", ["x", "c"], ["z"]),
        helper.make_node("MaxPool", ["z"], ["y"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    ]
    agrees(model(nodes, (1, 2, 4, 4), [constant("c", 100.0)]))


@pytest.mark.parametrize(
    "proto, word",
    [
        (single("Conv", (1, 1, 3, 3), [normal(1, 1, 3, 3)], order=["c0", "x"]), "weight"),
        (single("Pad", (1, 3), [ints(0, 1, 0, 1), np.float32("-inf")]), "finite"),
        (single("Cast", (1, 3), to=TensorProto.INT8), "float"),
        (single("Dropout", (1, 3), [np.float32(0.5), np.array(True)]), "training"),
        (single("Conv", (1, 1, 2, 2, 2, 2), [normal(1, 1, 1, 1, 1, 1)]), "three dimensions"),
        (single("ConvTranspose", (1, 2, 4, 4), [normal(2, 3, 1, 1)], strides=[2, 2], auto_pad="SAME_UPPER"), "larger"),
        (single("Slice", (1, 3), [ints(2), ints(2), ints(1)]), "empty"),
    ],
)
def test_refused_by_name(proto, word):
    with pytest.raises(UnsupportedOperator, match=word) as caught:
        imported(proto)
    assert "\n" not in str(caught.value)


def test_max_pool_indices_are_refused():
    proto = single("MaxPool", IMAGE, kernel_shape=[2, 2], outputs=("y", "i"), opset=12)
    del proto.graph.output[1:]
    with pytest.raises(UnsupportedOperator, match="indices"):
        imported(proto)


@pytest.mark.parametrize(
    "proto, word",
    [
        (single("Reshape", (1, 3), [ints(2, 2)]), "reshape"),
        (single("Add", (1, 3), [normal(4)]), "broadcast"),
        (single("Gemm", (1, 3), [normal(4, 2)]), "4 inputs"),
        (single("Squeeze", (1, 3), [ints(1)]), "squeeze"),
        (single("Conv", IMAGE, [normal(4, 2, 3, 3)]), "channels"),
    ],
)
def test_shapes_that_do_not_fit_name_the_node(proto, word):
    with pytest.raises(ShapeMismatch, match=word) as caught:
        imported(proto)
    assert f"'{proto.graph.node[0].name}'" in str(caught.value)


@pytest.mark.parametrize(
    "proto",
    [
        single("MatMul", (1, 3), [np.float32(2)]),
        single("Unsqueeze", (1, 3), [ints(0, 0)]),
        single("Clip", (1, 4), [normal(4)]),
        single("BatchNormalization", IMAGE, [normal(2), normal(2), normal(2), abs(normal(2))], opset=15),
        single("Conv", IMAGE, [normal(4, 3, 3, 3), normal(3)]),
        single("ConvTranspose", IMAGE, [normal(3, 4, 3, 3), normal(3)]),
        single("PRelu", (1, 3), [normal(2, 3)]),
        single("Tile", (1, 3), [ints(2)]),
        single("ReduceMean", (1, 3), axes=[5]),
        single("Gather", (1, 3), [ints(9)], axis=1),
        single("Transpose", (1, 3), perm=[0, 0]),
        single("Concat", (1, 3), [normal(2, 2)], axis=1),
        single("Reshape", (1, 4), [ints(-1, -1)]),
    ],
    ids=lambda proto: proto.graph.node[0].op_type,
)
def test_malformed_nodes_are_named_in_one_line(proto):
    with pytest.raises(InvalidInput) as caught:
        imported(proto)
    assert f"'{proto.graph.node[0].name}'" in str(caught.value) and "\n" not in str(caught.value)


def test_division_by_zero_and_crossed_limits_are_invalid():
    with pytest.raises(InvalidInput, match="zero"):
        imported(single("Div", (1, 2), [np.float32([1, 0])]))
    with pytest.raises(InvalidInput, match="order"):
        imported(single("Clip", (1, 2), [np.float32(1), np.float32(0)]))
    with pytest.raises(InvalidInput, match="variance"):
        imported(single("BatchNormalization", IMAGE, [normal(3), normal(3), normal(3), -np.ones(3)]))


def test_lowerings_by_hand():
    assert ops_of(imported(single("Clip", (1, 2), [np.float32(0), np.float32(6)]))).count("Relu") == 2
    assert ops_of(imported(single("Clip", (1, 2), [None, np.float32(6)]))).count("Relu") == 1
    # Nine entries per window: four pairs, two, one, and one more for the odd entry.
    assert ops_of(imported(single("MaxPool", (1, 1, 3, 3), kernel_shape=[3, 3]))).count("Relu") == 4


@pytest.mark.parametrize("alpha", [1e-10, 1e10, -1e-7])
@pytest.mark.parametrize("bias", [None, normal(2), normal(1, 2)])
def test_extreme_factors_are_operators_of_their_own(alpha, bias):
    """What they are applied to must not overflow or underflow unseen."""
    consts = [normal(3, 2), *([] if bias is None else [bias])]
    proto = single("Gemm", (1, 3), consts, alpha=alpha, beta=0.5)
    assert ops_of(agrees(proto))[1:3] == ["Linear", "Affine"]


def test_extreme_variances_are_divided_by_last():
    parts = [normal(3), normal(3), normal(3), np.full(3, 1e15, np.float32)]
    assert ops_of(agrees(single("BatchNormalization", (1, 3, 2, 2), parts)))[1:] == ["Affine", "Affine"]
