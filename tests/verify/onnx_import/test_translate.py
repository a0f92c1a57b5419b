"""The walk: inputs and outputs, batch axes, constants folded on the way, blockers collected."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper

from tests.verify.onnx_import.models import agrees, constant, imported, model, ops_of, single
from verify.errors import InvalidInput, UnsupportedOperator
from verify.onnx_import import compare_with_onnxruntime, load_network, simplify

node = helper.make_node
BENCH = Path(__file__).resolve().parents[4] / "shared" / "bench"


def test_dynamic_batch_becomes_one():
    for shape in (("N", 3), (None, 3), (-1, 3)):
        assert agrees(model([node("Relu", ["x"], ["y"])], shape)).input_shape == (1, 3)


def test_no_batch_axis_and_a_larger_one():
    assert agrees(model([node("Relu", ["x"], ["y"])], (3,))).input_shape == (3,)
    assert agrees(model([node("Relu", ["x"], ["y"])], (4, 3))).input_shape == (4, 3)
    assert agrees(model([node("Relu", ["x"], ["y"])], ())).input_shape == ()


@pytest.mark.parametrize(
    "proto, word",
    [
        (model([node("Relu", ["x"], ["y"])], (1, "width")), "width"),
        (model([node("Relu", ["x"], ["y"])], None), "no shape"),
        (model([node("Identity", ["x"], ["y"])], (1, 3), elem=TensorProto.INT64), "input 'x' holds int64"),
        (model([node("Not", ["x"], ["y"])], (1, 3), elem=TensorProto.BOOL), "input 'x' holds bool"),
        (model([node("Relu", ["w"], ["y"])], (1,), [constant("w", [1.0])], inputs=()), "no input"),
    ],
)
def test_inputs_that_are_refused(proto, word):
    with pytest.raises(UnsupportedOperator, match=word):
        imported(proto)


def test_all_inputs_that_are_refused_are_named_at_once():
    proto = model([node("Add", ["a", "b"], ["y"])], (1, "width"), inputs=("a", "b"))
    with pytest.raises(UnsupportedOperator, match=r"'a' has no fixed size.*'b' has no fixed size"):
        imported(proto)


def test_several_inputs_are_moves_from_one_flat_input():
    """y = a W + b c, with one input that nothing reads; joint order is that of the model."""
    nodes = [node("MatMul", ["a", "w"], ["h"]), node("Concat", ["h", "b"], ["y"], axis=1)]
    graph = helper.make_graph(
        nodes, "two",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
         for name, shape in (("unused", (2,)), ("a", ("N", 2)), ("b", (1, 3)), ("scalar", ()))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], [constant("w", [[1.0, 2.0], [3.0, 4.0]])],
    )
    network = agrees(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8))
    assert network.input_shape == (8,) and network.output_shape == (1, 5)
    assert [(port.name, port.shape) for port in network.inputs] == [
        ("unused", (2,)), ("a", (1, 2)), ("b", (1, 3)), ("scalar", ())]
    assert ops_of(network) == ["Input", "Gather", "Gather", "Linear", "Concat"]
    x = torch.tensor([[9, 9, 1, -1, 5, 6, 7, 9]], dtype=torch.float64)
    assert network.graph.evaluate(x).tolist() == [[[-2.0, -2.0, 5.0, 6.0, 7.0]]]


def test_several_outputs_are_one_flat_value():
    nodes = [node("Relu", ["x"], ["y"]), node("Neg", ["x"], ["z"])]
    network = agrees(model(nodes, (1, 3), outputs=("z", "y", "x")))
    assert network.output_shape == (9,) and [port.name for port in network.outputs] == ["z", "y", "x"]
    x = torch.tensor([[[1.0, -2, 0]]], dtype=torch.float64)
    assert network.graph.evaluate(x).tolist() == [[-1.0, 2.0, 0.0, 1.0, 0.0, 0.0, 1.0, -2.0, 0.0]]
    assert network.outputs[0].shape == (1, 3) and not network.double


def test_inputs_of_both_types():
    nodes = [node("Cast", ["a"], ["f"], to=TensorProto.DOUBLE), node("Add", ["f", "b"], ["y"])]
    graph = helper.make_graph(
        nodes, "both",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, (1, 2)),
         helper.make_tensor_value_info("b", TensorProto.DOUBLE, (1, 2))],
        [helper.make_tensor_value_info("y", TensorProto.DOUBLE, (1, 2))],
    )
    network = agrees(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8))
    assert network.double and [port.double for port in network.inputs] == [False, True] and network.outputs[0].double


def test_all_blockers_at_once_alike_ones_together():
    nodes = [
        node("Det", ["x"], ["a"], name="first"),
        node("Det", ["a"], ["b"], name="second"),
        node("NonZero", ["x"], ["c"], name="positions"),
        node("Relu", ["b"], ["d"], name="fine"),
        node("Mystery", ["d"], ["e"], name="unknown"),
        node("Add", ["e", "c"], ["y"]),
    ]
    with pytest.raises(UnsupportedOperator) as caught:
        imported(model(nodes, (1, 3), opset=16))
    text = str(caught.value)
    assert "4 nodes of opset 16" in text and "'first', 'second'" in text and "'positions'" in text
    assert "'unknown'" in text
    assert "'fine'" not in text and "docs/operators.md" in text and "\n" not in text


def test_foreign_domain_is_named():
    with pytest.raises(UnsupportedOperator, match="own"):
        imported(model([node("Relu", ["x"], ["y"], domain="own")], (1, 3), domains=["own"]))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_name_the_initializer(value):
    weight = np.array([[1, value, 0]], np.float32)
    with pytest.raises(InvalidInput, match="'w'"):
        imported(model([node("MatMul", ["x", "w"], ["y"])], (1, 1), [constant("w", weight)]))
    by_node = [node("Constant", [], ["k"], value=constant("k", weight)), node("Add", ["x", "k"], ["y"])]
    with pytest.raises(InvalidInput, match="'k'"):
        imported(model(by_node, (1, 3)))


def test_shape_chain_folds_away():
    """Flatten as exporters write it: Reshape(x, Concat(Unsqueeze(Gather(Shape(x), 0)), [-1]))."""
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "zero"], ["n"], axis=0),
        node("Unsqueeze", ["n", "axes"], ["u"]),
        node("Concat", ["u", "rest"], ["target"], axis=0),
        node("Reshape", ["x", "target"], ["f"]),
        node("Relu", ["f"], ["y"]),
    ]
    known = [constant("zero", 0, np.int64), constant("axes", [0], np.int64), constant("rest", [-1], np.int64)]
    network = agrees(model(nodes, ("N", 2, 3), known))
    assert ops_of(network) == ["Input", "Reshape", "Relu"]


def test_more_shape_arithmetic():
    """Where(Equal(shape, -1), 1, shape) for Expand, Slice of shapes, Range as indices, ReduceProd, Cast."""
    nodes = [
        node("ConstantOfShape", ["two"], ["ones"], value=constant("v", [1], np.int64)),
        node("Equal", ["wanted", "minus"], ["free"]),
        node("Where", ["free", "ones", "wanted"], ["size"]),
        node("Expand", ["x", "size"], ["big"]),
        node("Shape", ["big"], ["shape"]),
        node("Slice", ["shape", "one", "ends"], ["last"]),
        node("Squeeze", ["last"], ["count"]),
        node("Range", ["zero", "count", "step"], ["index"]),
        node("Gather", ["big", "index"], ["g"], axis=1),
        node("ReduceProd", ["shape"], ["p"], keepdims=0),
        node("Cast", ["p"], ["pf"], to=TensorProto.FLOAT),
        node("Div", ["g", "pf"], ["y"]),
    ]
    known = [
        constant(name, value, np.int64)
        for name, value in (
            ("two", [2]),
            ("wanted", [4, -1]),
            ("minus", [-1, -1]),
            ("one", [1]),
            ("ends", [2]),
            ("zero", 0),
            ("step", 1),
        )
    ]
    agrees(model(nodes, (1, 3), known))


def test_constants_in_all_forms():
    nodes = [
        node("Constant", [], ["a"], value_float=2.0),
        node("Constant", [], ["b"], value_floats=[1.0, 2.0, 3.0]),
        node("Constant", [], ["c"], value_ints=[3, 1]),
        node("Constant", [], ["axis"], value_int=0),
        node("Mul", ["x", "a"], ["d"]),
        node("Add", ["d", "b"], ["e"]),
        node("Reshape", ["e", "c"], ["f"]),
        node("Gather", ["f", "axis"], ["y"]),
    ]
    agrees(model(nodes, (1, 3)))


def test_identities_and_aliases():
    """Names of dropped nodes stay usable, for constants too; the output may be an alias of the input."""
    nodes = [
        node("Identity", ["w"], ["v"]),
        node("Dropout", ["x"], ["d"]),
        node("Identity", ["d"], ["e"]),
        node("MatMul", ["e", "v"], ["f"]),
        node("Identity", ["f"], ["y"]),
    ]
    assert ops_of(agrees(model(nodes, (1, 2), [constant("w", np.eye(2))]))) == ["Input", "Linear"]
    assert ops_of(agrees(single("Identity", (1, 3)))) == ["Input"]


def test_output_that_does_not_depend_on_the_input():
    network = imported(model([node("Relu", ["w"], ["y"])], (1, 2), [constant("w", [-1.0, 2.0])]))
    assert network.graph.evaluate(torch.zeros(3, 1, 2, dtype=torch.float64)).tolist() == [[0.0, 2.0]] * 3


def test_random_values_are_refused():
    with pytest.raises(UnsupportedOperator, match="random"):
        imported(model([node("RandomNormal", [], ["r"], shape=[3]), node("Add", ["x", "r"], ["y"])], (1, 3)))


def test_same_constant_read_twice():
    agrees(model([node("Add", ["w", "w"], ["v"]), node("Add", ["x", "v"], ["y"])], (1, 2), [constant("w", [1.0, 2.0])]))


def test_names_of_the_query_are_free():
    assert imported(model([node("Relu", ["x"], ["spec:y"])], (1, 2), output="spec:y")).graph.output == "onnx:spec:y"


def random_network(seed: int):
    """A chain of random layers over images, with shortcuts where shapes allow."""
    rng = np.random.default_rng(seed)
    nodes, known, value, shape = [], [], "x", (1, 2, 6, 6)
    for k in range(rng.integers(3, 7)):
        name = f"v{k}"
        choice = rng.integers(6)
        if choice == 0:
            known.append(constant(f"w{k}", rng.standard_normal((3, shape[1], 3, 3)) / 3))
            nodes.append(node("Conv", [value, f"w{k}"], [name], pads=[1, 1, 1, 1]))
            shape = (1, 3, *shape[2:])
        elif choice == 1:
            known.append(constant(f"w{k}", rng.standard_normal((shape[1], 1, 1))))
            nodes.append(node(rng.choice(["Add", "Mul", "Sub"]), [value, f"w{k}"], [name]))
        elif choice == 2 and shape[2] > 2:
            nodes.append(
                node(rng.choice(["MaxPool", "AveragePool"]), [value], [name], kernel_shape=[2, 2], strides=[2, 2])
            )
            shape = (*shape[:2], shape[2] // 2, shape[3] // 2)
        elif choice == 3:
            nodes += [node("Relu", [value], [f"r{k}"]), node("Add", [value, f"r{k}"], [name])]
        elif choice == 4:
            nodes.append(node("Transpose", [value], [name], perm=[0, 1, 3, 2]))
        else:
            nodes.append(node(rng.choice(["Relu", "LeakyRelu", "Tanh", "Neg", "Abs"]), [value], [name]))
        value = name
    size = int(np.prod(shape))
    known += [constant("w", rng.standard_normal((3, size))), constant("b", rng.standard_normal(3))]
    nodes += [node("Flatten", [value], ["flat"]), node("Gemm", ["flat", "w", "b"], ["y"], transB=1)]
    return model(nodes, (1, 2, 6, 6), known)


@pytest.mark.parametrize("seed", range(40))
def test_random_networks_agree_before_and_after_simplification(seed):
    network = agrees(random_network(seed))
    x = torch.randn(5, *network.input_shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    ours, smaller = network.graph.evaluate(x), simplify(network.graph)
    assert torch.allclose(smaller.evaluate(x), ours, rtol=1e-9, atol=1e-9) and len(smaller.nodes) <= len(
        network.graph.nodes
    )


def bench_networks() -> list[Path]:
    """The first and the last network of each published set that is there."""
    found = []
    for folder in sorted(BENCH.glob("*/onnx")):
        files = sorted(folder.glob("*.onnx*"))
        found += sorted({files[0], files[-1]}) if files else []
    return found


@pytest.mark.skipif(not BENCH.is_dir(), reason="the published benchmark networks (../shared/bench) are not here")
@pytest.mark.parametrize("path", bench_networks(), ids=lambda path: path.name)
def test_published_networks_agree_with_onnxruntime(path):
    network = load_network(path)
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, *network.input_shape, generator=generator, dtype=torch.float64).float().double()
    assert compare_with_onnxruntime(network, x) < 1e-4
    ours = network.graph.evaluate(x)
    assert torch.allclose(simplify(network.graph).evaluate(x), ours, rtol=1e-9, atol=1e-9 * float(ours.abs().max()))


def test_import_of_the_package_is_light():
    heavy = ("onnxruntime", "torch.onnx", "onnx.reference")
    code = f"import sys, verify.onnx_import; print([m for m in {heavy} if m in sys.modules])"
    root = Path(__file__).resolve().parents[3]
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True
        ).stdout.strip()
        == "[]"
    )
