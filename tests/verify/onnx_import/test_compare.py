"""A right import passes, every kind of wrong one is caught, NaN included."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from onnx import helper

from tests.verify.onnx_import.models import constant, imported, model, single
from verify.errors import BrokenInvariant, ImportMismatch, InvalidInput, ShapeMismatch
from verify.graph import Graph, Node
from verify.onnx_import import compare_with_onnxruntime
from verify.onnx_import.compare import onnxruntime_outputs
from verify.ops import Affine, Concat, Gather, Input, Linear, Reshape
from verify.ops.step import Ceil, Floor

POINTS = torch.randn(4, 1, 3, generator=torch.Generator().manual_seed(1))


def network():
    known = [constant("w", np.arange(9).reshape(3, 3) - 4), constant("b", [0.5, 0.01, -1])]
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["h"]), helper.make_node("Relu", ["h"], ["y"])]
    return imported(model(nodes, (1, 3), known))


def with_linear(change):
    """The network, imported with a wrong first layer."""
    right = network()
    nodes = tuple(
        replace(node, op=change(node.op)) if isinstance(node.op, Linear) else node for node in right.graph.nodes
    )
    return replace(right, graph=Graph(nodes, right.graph.output))


def test_right_import_passes():
    assert compare_with_onnxruntime(network(), POINTS) < 1e-5


def test_runtime_values_by_hand():
    # Columns of the weight sum to -3, 0 and 3; then the bias, then the ReLU.
    ones = torch.ones(2, 1, 3)
    expected = torch.tensor([[[0.0, 0.01, 2.0]], [[0.0, 0.01, 2.0]]], dtype=torch.float64)
    assert torch.allclose(onnxruntime_outputs(network(), ones), expected, atol=1e-6)


@pytest.mark.parametrize("change", [
    lambda op: replace(op, bias=None), lambda op: replace(op, weight=op.weight.T.contiguous()),
    lambda op: replace(op, bias=op.bias * torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64)),
    lambda op: replace(op, weight=op.weight * 1.01), lambda op: Affine(),
    lambda op: replace(op, weight=op.weight * torch.nan),
], ids=["dropped bias", "transposed", "sign of a small bias", "one percent", "identity", "nan"])
def test_wrong_imports_are_caught(change):
    with pytest.raises(ImportMismatch, match=r"test\.onnx"):
        compare_with_onnxruntime(with_linear(change), POINTS)


def test_wrong_output_shape_is_caught():
    squeezed = imported(single("Squeeze", (1, 3))).graph
    with pytest.raises(ImportMismatch, match="shape"):
        compare_with_onnxruntime(replace(network(), graph=squeezed), POINTS)


def test_points_must_fit():
    for points in (torch.zeros(2, 3), torch.zeros(0, 1, 3), torch.zeros(())):
        with pytest.raises(ShapeMismatch, match="points"):
            compare_with_onnxruntime(network(), points)


def test_amplified_rounding_is_no_mismatch():
    """1e6 + x - 1e6 loses digits in float32: the same loss in our own float32 run explains it."""
    nodes = [helper.make_node("Add", ["x", "c"], ["h"]), helper.make_node("Relu", ["h"], ["r"]),
             helper.make_node("Sub", ["r", "c"], ["y"])]
    proto = model(nodes, (1, 3), [constant("c", 1e6)])
    assert compare_with_onnxruntime(imported(proto), POINTS) > 1e-4


def test_a_network_that_overflows_by_itself_is_bad_input_not_a_bug():
    nodes = [helper.make_node("Mul", ["x", "c"], ["h"]), helper.make_node("Mul", ["h", "c"], ["y"])]
    with pytest.raises(InvalidInput, match="infinities or NaN"):
        compare_with_onnxruntime(imported(model(nodes, (1, 3), [constant("c", 1e30)])), POINTS)


def test_networks_of_several_models_are_fed_their_slices():
    """Two models side by side: the joint input holds both, the joint output is both."""
    parts = tuple(replace(network().parts[0], name=name) for name in ("f", "g"))
    nodes, one = [Node("x", Input((6,)), (), (6,))], network().graph
    for name, begin in (("f", 0), ("g", 3)):
        index = torch.arange(begin, begin + 3).reshape(1, 3)
        nodes.append(Node(f"{name}/x", Gather(index), ("x",), (1, 3)))
        nodes += [replace(node, name=f"{name}/{node.name}", inputs=tuple(f"{name}/{i}" for i in node.inputs))
                  for node in one.nodes[1:]]
        nodes.append(Node(f"{name}/flat", Reshape((3,)), (f"{name}/y",), (3,)))
    nodes.append(Node("y", Concat(0), ("f/flat", "g/flat"), (6,)))
    joint = replace(network(), parts=parts, graph=Graph(tuple(nodes), "y"))
    points = torch.randn(4, 6, generator=torch.Generator().manual_seed(2))
    assert compare_with_onnxruntime(joint, points) < 1e-5
    swapped = replace(nodes[-1], inputs=("g/flat", "f/flat"))
    with pytest.raises(ImportMismatch):
        compare_with_onnxruntime(replace(joint, graph=Graph((*nodes[:-1], swapped), "y")), points)
    with pytest.raises(BrokenInvariant, match="2 models"):
        _ = joint.onnx


STAIRS = [helper.make_node("Mul", ["x", "ten"], ["h"]), helper.make_node("Floor", ["h"], ["f"]),
          helper.make_node("Mul", ["f", "tenth"], ["y"])]


def stairs():
    return imported(model(STAIRS, (1, 3), [constant("ten", 10.0), constant("tenth", 0.1)]))


def test_an_execution_may_fall_on_the_other_side_of_a_jump():
    """0.7 in float32 times 10 lies within a rounding of 7."""
    at_jumps = torch.arange(1, 31, dtype=torch.float32).reshape(10, 1, 3) / 10
    below = stairs().graph.evaluate(at_jumps.double())
    assert float((onnxruntime_outputs(stairs(), at_jumps) - below).abs().max()) > 0.05
    assert compare_with_onnxruntime(stairs(), at_jumps) < 1e-5


def test_jumps_excuse_nothing_elsewhere():
    right = stairs()
    nodes = tuple(replace(node, op=Ceil()) if isinstance(node.op, Floor) else node for node in right.graph.nodes)
    with pytest.raises(ImportMismatch):
        compare_with_onnxruntime(replace(right, graph=Graph(nodes, right.graph.output)), POINTS)


def test_beyond_a_jump_there_may_be_no_value():
    """The square root of floor(x) next to x = 0."""
    nodes = [helper.make_node("Floor", ["x"], ["f"]), helper.make_node("Sqrt", ["f"], ["y"])]
    points = torch.tensor([[[0.0, 1.5, 2.5]], [[4.5, 9.5, 1.5]]])
    assert compare_with_onnxruntime(imported(model(nodes, (1, 3))), points) < 1e-5
