"""Moves, logic, control flow, recurrent and quantised layers, against onnxruntime on random inputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper

from tests.verify.onnx_import.models import agrees, constant, imported, model, ops_of, single
from verify.bounds.walk import forward
from verify.errors import UnsupportedOperator
from verify.onnx_import.ops.top_k import network as sorting_network
from verify.sets import Interval

node = helper.make_node
rng = np.random.default_rng(11)
FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def normal(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


IMAGE = (1, 2, 5, 7)
RECURRENT = [normal(1, 12, 3), normal(1, 12, 3), normal(1, 24)]


def giving(proto, *kinds: int):
    """The model with the types of its outputs declared (float by default)."""
    for value, kind in zip(proto.graph.output, kinds, strict=True):
        value.type.tensor_type.elem_type = kind
    return proto


def resized(*, scales=None, sizes=None, opset: int = 19, roi=None, **attributes):
    return single("Resize", IMAGE, [roi, None if scales is None else np.float32(scales),
                                    None if sizes is None else ints(*sizes)], opset=opset, **attributes)


def linear(mode: str, **attributes):
    return resized(scales=[1, 1, 1.7, 0.6], mode="linear", coordinate_transformation_mode=mode, **attributes)


CASES = {
    # comparisons and logic: the output of a comparison is a truth value
    "greater": giving(single("Greater", (1, 6), [normal(6)]), BOOL),
    "less-left": giving(single("Less", (1, 6), [normal(1)], order=["c0", "x"]), BOOL),
    "at-least": giving(single("GreaterOrEqual", (1, 6), [normal(6)], opset=16), BOOL),
    "at-most": giving(single("LessOrEqual", (1, 6), [normal(6)], opset=16), BOOL),
    "equal-to-itself": giving(single("Equal", (1, 6), order=["x", "x"]), BOOL),
    "equal": giving(single("Equal", (1, 6), [normal(6)]), BOOL),
    # positions
    "argmax": giving(single("ArgMax", (2, 5), axis=1), INT64),
    "argmax-flat": giving(single("ArgMax", (2, 5), axis=0, keepdims=0), INT64),
    "argmin": giving(single("ArgMin", (1, 4, 3), axis=-2, keepdims=0), INT64),
    "argmax-last": giving(single("ArgMax", (1, 5), axis=1, select_last_index=1), INT64),
    "argmax-two": giving(single("ArgMax", (1, 2, 3), axis=1), INT64),
    "hardmax": single("Hardmax", (2, 5)),
    "hardmax-old": single("Hardmax", (2, 2, 3), opset=11),
    "cast-int": giving(single("Cast", (1, 6), to=INT64), INT64),
    "cast-bool": giving(single("Cast", (1, 6), to=BOOL), BOOL),
    "topk": giving(single("TopK", (2, 5), [ints(3)], outputs=("y", "i")), FLOAT, INT64),
    "topk-small": giving(single("TopK", (6, 2), [ints(6)], outputs=("y", "i"), axis=0, largest=0), FLOAT, INT64),
    # moves
    "gather-nd": single("GatherND", (2, 3, 4), [np.array([[0, -1], [1, 0]])]),
    "gather-nd-batch": single("GatherND", (2, 3, 4), [np.array([[1], [2]])], batch_dims=1),
    "scatter": single("ScatterElements", (3, 3), [np.array([[1, 0, 2]]), normal(1, 3)], axis=0),
    "scatter-old": single("Scatter", (3, 3), [np.array([[1, 0, 2]]), normal(1, 3)], opset=9, axis=1),
    "scatter-add": single("ScatterElements", (2, 4), [np.array([[1, 1, -1]]), normal(1, 3)], opset=18, axis=1,
                          reduction="add"),
    "scatter-mul": single("ScatterElements", (2, 4), [np.array([[1, 1, 3]]), normal(1, 3)], opset=18, axis=1,
                          reduction="mul"),
    "scatter-max": single("ScatterElements", (2, 4), [np.array([[1, 1, 3]]), normal(1, 3)], opset=18, axis=1,
                          reduction="max"),
    "scatter-nd": single("ScatterND", (3, 2), [np.array([[2], [0]]), normal(2, 2)], opset=16),
    "scatter-nd-updates": single("ScatterND", (2, 2), [normal(3, 2), np.array([[2], [0]])], opset=16,
                                 order=["c0", "c1", "x"]),
    "scatter-nd-zeros": single("ScatterND", (3, 2), [np.array([[2, 1]]), np.float32([0])], opset=16),
    "compress": single("Compress", (2, 3), [np.array([True, False, True])], axis=1),
    "compress-flat": single("Compress", (2, 3), [np.array([True, False, True])]),
    "triu": single("Trilu", (1, 3, 4), [np.array(1)], opset=14),
    "tril": single("Trilu", (3, 4), opset=14, upper=0),
    "reverse-sequence": single("ReverseSequence", (4, 2, 2), [ints(3, 2)]),
    "reverse-sequence-batch": single("ReverseSequence", (2, 4), [ints(3, 2)], time_axis=1, batch_axis=0),
    "cumsum": single("CumSum", (2, 4), [np.array(1)], opset=14),
    "cumsum-exclusive": single("CumSum", (2, 4), [np.array(0)], opset=14, exclusive=1, reverse=1),
    "eye": model([node("EyeLike", ["x"], ["e"], k=1), node("Add", ["x", "e"], ["y"])], (3, 4)),
    "pad-wrap": single("Pad", (1, 4), [ints(0, 1, 0, 2)], opset=19, mode="wrap"),
    "where-mask": single("Where", (2, 3), [np.array([[True], [False]]), np.float32([1, -np.inf, 3])[:1]],
                         order=["c0", "x", "c1"]),
    "split-many": single("Split", (1, 5), opset=18, axis=1, num_outputs=2, outputs=("y", "z")),
    # reductions
    **{f"{name}-{opset}": single(name, (2, 3, 2), [ints(1)] if opset >= 18 else [], opset=opset,
                                 **({} if opset >= 18 else {"axes": [1]}))
       for name in ("ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceProd", "ReduceLogSumExp") for opset in (13, 18)},
    "log-sum": model([node("Abs", ["x"], ["a"]), node("ReduceLogSum", ["a"], ["y"], axes=[1], keepdims=0)], (1, 4)),
    "lp-pool": single("LpPool", (1, 2, 5, 4), kernel_shape=[2, 2], strides=[2, 1], p=2, opset=18),
    "lp-pool-1": single("LpPool", (1, 2, 5, 4), kernel_shape=[3, 2], pads=[1, 0, 1, 1], p=1, opset=18),
    "global-lp": single("GlobalLpPool", (1, 2, 3, 3)),
    # interpolation
    **{f"linear-{mode}": linear(mode) for mode in
       ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric")},
    "cubic": resized(sizes=[1, 2, 8, 4], mode="cubic"),
    "cubic-outside": resized(sizes=[1, 2, 8, 4], mode="cubic", exclude_outside=1, cubic_coeff_a=-0.5),
    "nearest-fraction": resized(scales=[1, 1, 1.6, 0.55]),
    "linear-old": single("Upsample", (1, 1, 3, 3), [np.float32([1, 1, 2, 2])], opset=9, mode="linear"),
    "crop": resized(sizes=[1, 2, 4, 3], mode="linear", roi=np.float32([0, 0, 0.2, 0.1, 1, 1, 0.7, 1.2]),
                    coordinate_transformation_mode="tf_crop_and_resize", extrapolation_value=3.0),
    "antialias": resized(sizes=[1, 2, 3, 4], mode="linear", antialias=1),
    "resize-axes": resized(scales=[2, 1.5], mode="linear", axes=[2, 3]),
    "grid": single("GridSample", (1, 2, 4, 5), [rng.uniform(-1.2, 1.2, (1, 3, 2, 2)).astype(np.float32)], opset=16),
    "grid-border": single("GridSample", (1, 2, 4, 5), [rng.uniform(-1.2, 1.2, (1, 3, 2, 2)).astype(np.float32)],
                          opset=16, padding_mode="border", align_corners=1),
    "grid-cubic": single("GridSample", (1, 1, 4, 5), [rng.uniform(-1, 1, (1, 3, 2, 2)).astype(np.float32)], opset=16,
                         mode="bicubic", padding_mode="reflection"),
    "grid-nearest": single("GridSample", (1, 1, 4, 5), [rng.uniform(-1, 1, (1, 3, 2, 2)).astype(np.float32)],
                           opset=16, mode="nearest"),
    "col2im": single("Col2Im", (1, 8, 6), [ints(3, 4), ints(2, 2)], opset=18),
    "dft": single("DFT", (1, 6, 1), opset=17),
    "dft-one-sided": single("DFT", (1, 6, 1), [np.array(8)], opset=17, onesided=1),
    # convolutions in three dimensions
    "conv-3d": single("Conv", (1, 4, 4, 5, 3), [normal(6, 2, 2, 3, 2), normal(6)], group=2, strides=[1, 2, 1],
                      pads=[1, 1, 0, 0, 1, 1], dilations=[2, 1, 1]),
    "conv-3d-batch": single("Conv", (2, 1, 3, 3, 3), [normal(2, 1, 2, 2, 2)]),
    # products of letters
    "einsum-one": single("Einsum", (2, 3), equation="ij->ji"),
    "einsum-sum": single("Einsum", (2, 3), equation="ij->i"),
    "einsum-diagonal": single("Einsum", (3, 3), equation="ii->i"),
    "einsum-constant": single("Einsum", (2, 3), [normal(3, 4)], equation="ij,jk->ik"),
    "einsum-batch": single("Einsum", (2, 3, 4), [normal(2, 4, 2)], equation="bij,bjk->bik"),
    "einsum-ellipsis": single("Einsum", (2, 3, 4), [normal(4, 2)], equation="...j,jk->...k"),
    "einsum-outer": single("Einsum", (2,), [normal(3)], equation="i,j->ij"),
    "einsum-two": single("Einsum", (2, 3), order=["x", "x"], equation="ij,kj->ik"),
    "einsum-three": single("Einsum", (2, 3), [normal(3, 2), normal(2)], equation="ij,jk,k->i"),
    "einsum-implicit": single("Einsum", (2, 3), [normal(3, 4)], equation="ij,jk"),
    # recurrent layers
    "lstm": single("LSTM", (4, 2, 3), RECURRENT, opset=14, hidden_size=3, outputs=("y", "h", "c")),
    "lstm-reverse": single("LSTM", (3, 1, 3), RECURRENT, opset=14, hidden_size=3, direction="reverse"),
    "lstm-both": single("LSTM", (2, 1, 3), [normal(2, 8, 3), normal(2, 8, 2), normal(2, 16)], opset=14, hidden_size=2,
                        direction="bidirectional"),
    "lstm-peephole": single("LSTM", (3, 1, 3), [*RECURRENT, None, normal(1, 1, 3), normal(1, 1, 3), normal(1, 9)],
                            opset=14, hidden_size=3),
    "lstm-coupled": single("LSTM", (2, 1, 3), RECURRENT, opset=14, hidden_size=3, input_forget=1),
    "lstm-lengths": single("LSTM", (4, 2, 3), [*RECURRENT, np.array([4, 2], np.int32)], opset=14, hidden_size=3,
                           outputs=("y", "h")),
    "lstm-activations": single("LSTM", (2, 1, 3), RECURRENT, opset=14, hidden_size=3,
                               activations=["HardSigmoid", "Relu", "Tanh"], activation_alpha=[0.3],
                               activation_beta=[0.4]),
    "gru": single("GRU", (3, 2, 3), [normal(1, 12, 3), normal(1, 12, 4), normal(1, 24)], opset=14, hidden_size=4),
    "gru-after": single("GRU", (3, 1, 3), [normal(1, 12, 3), normal(1, 12, 4), normal(1, 24)], opset=14,
                        hidden_size=4, linear_before_reset=1, direction="reverse"),
    "gru-state": single("GRU", (1, 2, 4), [normal(3, 2, 3), normal(1, 12, 3), normal(1, 12, 4)], opset=14,
                        order=["c0", "c1", "c2", "", "", "x"], hidden_size=4, outputs=("y", "h")),
    "rnn": single("RNN", (3, 1, 3), [normal(1, 4, 3), normal(1, 4, 4), normal(1, 8)], opset=14, hidden_size=4),
    "rnn-clipped": single("RNN", (3, 1, 3), [normal(1, 4, 3), normal(1, 4, 4)], opset=14, hidden_size=4, clip=0.5,
                          activations=["Affine"], activation_alpha=[0.5], activation_beta=[0.1]),
}


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_onnxruntime(name):
    agrees(CASES[name])


BOUNDED = ("argmax", "argmin", "hardmax", "topk", "cast-int", "equal", "scatter-mul", "scatter-max", "ReduceProd-18",
           "ReduceLogSumExp-13", "lp-pool", "cubic", "einsum-two", "lstm", "lstm-lengths", "gru", "rnn-clipped",
           "conv-3d", "quantise", "where")


@pytest.mark.parametrize("name", BOUNDED)
def test_intervals_hold_every_value(name):
    """Of all nodes, on a box, for sampled points."""
    more = {"quantise": lambda: model(QDQ, (1, 6), quantised()), "where": lambda: model(*LOGIC, opset=16)}
    graph = imported(CASES[name] if name in CASES else more[name]()).graph
    generator = torch.Generator().manual_seed(5)
    ends = torch.randn(2, 1, *graph.input.shape, generator=generator, dtype=torch.float64)
    box = Interval(ends.amin(0), ends.amax(0))
    bounds = forward(graph, box)
    values = graph.values(box.sample(200, generator), [node.name for node in graph.nodes])
    for each in graph.nodes:
        low, high = bounds[each.name].lower, bounds[each.name].upper
        assert bool(((low <= values[each.name]) & (values[each.name] <= high)).all()), each


def test_argmax_breaks_ties_by_the_rule():
    tied = torch.tensor([[[2.0, 5.0, 5.0, 1.0]]], dtype=torch.float64)
    for last, index in ((0, 1.0), (1, 2.0)):
        graph = imported(single("ArgMax", (1, 4), axis=1, select_last_index=last)).graph
        assert graph.evaluate(tied).item() == index
    graph = imported(single("TopK", (1, 4), [ints(2)], outputs=("y", "i"))).graph
    assert graph.evaluate(tied).tolist() == [[5.0, 5.0, 1.0, 2.0]]


@pytest.mark.parametrize("n", range(1, 12))
def test_the_sorting_network_sorts(n):
    """Zero-one principle: it is enough to sort all inputs of zeros and ones."""
    for bits in range(2**n):
        values = [bits >> k & 1 for k in range(n)]
        for layer in sorting_network(n):
            assert len({i for pair in layer for i in pair}) == 2 * len(layer)
            for i, j in layer:
                values[i], values[j] = max(values[i], values[j]), min(values[i], values[j])
        assert values == sorted(values, reverse=True)


LOGIC = (
    [
        node("Greater", ["x", "low"], ["a"]), node("Less", ["x", "high"], ["b"]),
        node("And", ["a", "b"], ["c"]), node("Or", ["a", "b"], ["d"]), node("Not", ["d"], ["e"]),
        node("Xor", ["c", "e"], ["f"]), node("Where", ["f", "x", "w"], ["g"]),
        node("And", ["f", "mask"], ["h"]), node("Or", ["h", "mask"], ["i"]), node("Xor", ["i", "mask"], ["j"]),
        node("Where", ["j", "one", "two"], ["k"]), node("Add", ["g", "k"], ["y"]),
    ],
    (4, 3),
    [constant("low", -0.5), constant("high", 0.5), constant("w", [7.0, 8.0, 9.0]),
     constant("mask", [True, False, True], bool), constant("one", 1.0), constant("two", 2.0)],
)


def test_logic_of_comparisons():
    """not (a or b) xor (a and b), and Where on a condition that varies."""
    agrees(model(*LOGIC, opset=16), points=8)


def test_integers_are_piecewise_linear():
    """Positions as integers: their comparisons need no steps of their own."""
    nodes = [
        node("ArgMax", ["x"], ["i"], axis=1), node("Cast", ["i"], ["f"], to=FLOAT),
        node("Equal", ["i", "two"], ["e"]), node("Less", ["i", "two"], ["l"]), node("Cast", ["e"], ["g"], to=FLOAT),
        node("Cast", ["l"], ["h"], to=FLOAT), node("OneHot", ["i", "depth", "pair"], ["o"], axis=1),
        node("Squeeze", ["o", "axes"], ["p"]), node("Sum", ["f", "g", "h", "p"], ["y"]),
    ]
    known = [constant("two", 2, np.int64), constant("depth", [4], np.int64), constant("pair", [-1.0, 3.0]),
             constant("axes", [2], np.int64)]
    network = agrees(model(nodes, (1, 4), known), points=20)
    assert ops_of(network).count("Positive") == 1


def test_rows_chosen_by_a_position():
    """Gather with an index that varies: a table, and the value itself."""
    nodes = [node("ArgMax", ["x"], ["i"], axis=1, keepdims=0), node("Gather", ["table", "i"], ["t"], axis=1),
             node("Gather", ["x", "i"], ["m"], axis=1), node("ReduceMax", ["x"], ["r"], axes=[1]),
             node("Sub", ["m", "r"], ["zero"]), node("Add", ["t", "zero"], ["y"])]
    agrees(model(nodes, (1, 4), [constant("table", normal(3, 4))]), points=8)


def sub_graph(nodes, inputs, outputs, known=()):
    return helper.make_graph(nodes, "body", [helper.make_tensor_value_info(n, t, s) for n, t, s in inputs],
                             [helper.make_tensor_value_info(n, t, None) for n, t in outputs], list(known))


def branches():
    return {
        "then_branch": sub_graph([node("Mul", ["x", "three"], ["t"])], [], [("t", FLOAT)], [constant("three", 3.0)]),
        "else_branch": sub_graph([node("Relu", ["x"], ["e"])], [], [("e", FLOAT)]),
    }


@pytest.mark.parametrize("flag", [True, False])
def test_if_with_a_constant_condition(flag):
    proto = model([node("If", ["c"], ["y"], **branches())], (1, 3), [constant("c", flag, bool)])
    assert ("Relu" in ops_of(agrees(proto))) is not flag


def test_if_with_a_condition_of_the_data():
    nodes = [node("ReduceSum", ["x"], ["s"], keepdims=0), node("Greater", ["s", "zero"], ["c"]),
             node("If", ["c"], ["y"], **branches())]
    agrees(model(nodes, (1, 3), [constant("zero", 0.0)]), points=10)


def test_loop():
    """v <- relu(v w) three times, collecting all values; the trip count or the condition ends it."""
    body = sub_graph(
        [node("MatMul", ["v", "w"], ["m"]), node("Relu", ["m"], ["out"]), node("Less", ["i", "two"], ["go"]),
         node("Add", ["out", "x"], ["seen"])],
        [("i", INT64, []), ("c", BOOL, []), ("v", FLOAT, None)], [("go", BOOL), ("out", FLOAT), ("seen", FLOAT)],
        [constant("two", 2, np.int64)],
    )
    known = [constant("w", normal(3, 3)), constant("n", 9, np.int64), constant("yes", True, bool)]
    network = agrees(model([node("Loop", ["n", "yes", "x"], ["last", "y"], body=body)], (1, 3), known,
                           outputs=("last", "y")))
    assert ops_of(network).count("Linear") == 3 and network.outputs[1].shape == (3, 1, 3)


def test_loop_whose_end_depends_on_the_data_is_refused():
    body = sub_graph([node("ReduceSum", ["v"], ["s"], keepdims=0), node("Greater", ["s", "zero"], ["go"]),
                      node("Relu", ["v"], ["out"])],
                     [("i", INT64, []), ("c", BOOL, []), ("v", FLOAT, None)], [("go", BOOL), ("out", FLOAT)],
                     [constant("zero", 0.0)])
    proto = model([node("Loop", ["n", "", "x"], ["y"], body=body)], (1, 3), [constant("n", 9, np.int64)])
    with pytest.raises(UnsupportedOperator, match="condition depends on the network input"):
        imported(proto)


@pytest.mark.parametrize("backwards", [0, 1])
def test_scan(backwards):
    body = sub_graph([node("Add", ["s", "v"], ["next"]), node("Relu", ["next"], ["o"])],
                     [("s", FLOAT, (2,)), ("v", FLOAT, (2,))], [("next", FLOAT), ("o", FLOAT)])
    scan = node("Scan", ["zero", "x"], ["last", "y"], body=body, num_scan_inputs=1, scan_input_axes=[1],
                scan_input_directions=[backwards], scan_output_axes=[1])
    agrees(model([scan], (2, 3), [constant("zero", [0.0, 0.5])], outputs=("last", "y")))


def quantised(kind=np.uint8):
    return [constant("s", 0.03), constant("z", 5, kind)]


QDQ = [node("QuantizeLinear", ["x", "s", "z"], ["q"]), node("DequantizeLinear", ["q", "s", "z"], ["y"])]


def test_quantise_and_dequantise():
    for kind in (np.uint8, np.int8):
        network = agrees(model(QDQ, (1, 6), quantised(kind)))
        assert ops_of(network).count("Round") == 1


def test_quantise_per_channel():
    nodes = [node("QuantizeLinear", ["x", "s", "z"], ["q"], axis=1),
             node("DequantizeLinear", ["q", "s", "z"], ["y"], axis=1)]
    known = [constant("s", [0.1, 0.02, 0.5]), constant("z", [1, 0, -3], np.int8)]
    agrees(model(nodes, (2, 3, 2), known))


def test_quantised_weights_are_constants():
    nodes = [node("DequantizeLinear", ["q", "s"], ["w"], axis=0), node("MatMul", ["x", "w"], ["y"])]
    known = [constant("q", rng.integers(-100, 100, (3, 2)), np.int8), constant("s", [0.1, 0.2, 0.3])]
    assert ops_of(agrees(model(nodes, (1, 3), known))) == ["Input", "Linear"]


def test_quantised_products():
    known = [*quantised(), constant("ws", 0.02), constant("wz", 2, np.uint8), constant("ys", 0.05),
             constant("yz", 100, np.uint8), constant("w", rng.integers(0, 255, (6, 3)), np.uint8)]
    nodes = [node("QuantizeLinear", ["x", "s", "z"], ["q"]),
             node("QLinearMatMul", ["q", "s", "z", "w", "ws", "wz", "ys", "yz"], ["p"]),
             node("MatMulInteger", ["q", "w", "z", "wz"], ["m"]), node("Cast", ["m"], ["f"], to=FLOAT),
             node("DequantizeLinear", ["p", "ys", "yz"], ["d"]), node("Add", ["d", "f"], ["y"])]
    agrees(model(nodes, (2, 6), known))


def test_quantised_convolutions():
    weight = rng.integers(-90, 90, (3, 2, 2, 2))
    known = [*quantised(), constant("ws", [0.02, 0.03, 0.01]), constant("wz", [0, 0, 0], np.int8),
             constant("ys", 0.05), constant("yz", 100, np.uint8), constant("w", weight, np.int8),
             constant("b", [100, -50, 7], np.int32), constant("one", 0, np.int8)]
    nodes = [node("QuantizeLinear", ["x", "s", "z"], ["q"]),
             node("QLinearConv", ["q", "s", "z", "w", "ws", "wz", "ys", "yz", "b"], ["p"], pads=[1, 1, 0, 0]),
             node("MaxPool", ["p"], ["m"], kernel_shape=[2, 2]), node("DequantizeLinear", ["m", "ys", "yz"], ["y"])]
    agrees(model(nodes, (1, 2, 4, 4), known))
    wide = [node("QuantizeLinear", ["x", "s", "z"], ["q"]), node("ConvInteger", ["q", "u", "z"], ["i"]),
            node("Cast", ["i"], ["y"], to=FLOAT)]
    agrees(model(wide, (1, 2, 4, 4), [*quantised(), constant("u", weight + 90, np.uint8)]))


@pytest.mark.parametrize(
    "proto, word",
    [
        (single("DynamicQuantizeLinear", (1, 3), outputs=("y", "s", "z"), opset=11), "scale depends"),
        (single("NonZero", (1, 3)), "shape of its output"),
        (single("SequenceConstruct", (1, 3)), "sequences"),
        (model([node("QuantizeLinear", ["x", "s", "z"], ["q"]), node("Add", ["q", "z"], ["y"])], (1, 3), quantised(),
               opset=14), "holds uint8"),
        (single("Cast", (1, 3), to=TensorProto.FLOAT16), "float16"),
        (single("TopK", (1, 3), [ints(1)], sorted=0, outputs=("y", "i")), "no order"),
        (single("ScatterElements", (1, 3), [np.array([[1, 1]]), normal(1, 2)], axis=1), "several updates"),
        (single("ArgMax", (1, 2000), axis=1), "comparisons"),
        (single("LpPool", (1, 1, 4, 4), kernel_shape=[2, 2], p=3), "p = 3"),
        (single("LSTM", (1, 1, 2), [normal(1, 8, 2), normal(1, 8, 2)], hidden_size=2, activations=["Sigmoid", "Tanh",
                "Mystery"]), "Mystery"),
    ],
)
def test_refused_by_name(proto, word):
    with pytest.raises(UnsupportedOperator, match=word) as caught:
        imported(proto)
    assert "\n" not in str(caught.value)


def test_hardmax_of_one_entry_has_the_type_of_the_network():
    """What it meets is folded in that type: log(exp(1)) is 1 up to 2^-50 in double precision."""
    nodes = [node("Hardmax", ["x"], ["h"]), node("Exp", ["h"], ["e"]), node("Log", ["e"], ["y"])]
    network = imported(model(nodes, (2, 1), elem=TensorProto.DOUBLE))
    assert abs(float(network.graph.evaluate(torch.zeros(1, 2, 1, dtype=torch.float64)).max()) - 1) < 1e-15
