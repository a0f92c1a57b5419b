"""Scopes: subgraphs, bodies, outputs that are not given."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper

from tests.verify.onnx_import.models import agrees, constant, imported, model
from verify.errors import InvalidInput, UnsupportedOperator
from verify.onnx_import.walk import initialisers

node = helper.make_node


def test_outputs_that_nobody_reads_do_not_block():
    pool = node("MaxPool", ["x"], ["m", ""], kernel_shape=[2])
    agrees(model([pool, node("Relu", ["m"], ["y"])], (1, 1, 4)))
    drop = [node("Dropout", ["x"], ["d", "mask"]), node("Cast", ["mask"], ["f"], to=1), node("Mul", ["d", "f"], ["y"])]
    agrees(model(drop, (1, 3)))


def test_an_output_that_is_not_translated_blocks_its_reader():
    norm = node("BatchNormalization", ["x", "a", "b", "c", "d"], ["n", "mean", "p", "q", "r"])
    known = [constant(name, [1.0, 1.0]) for name in "abcd"]
    with pytest.raises(UnsupportedOperator, match="only its first 1 outputs"):
        imported(model([norm, node("Add", ["n", "mean"], ["y"])], (1, 2), known, opset=13))


def test_blockers_inside_of_a_body_and_of_a_branch_are_named():
    branch = helper.make_graph([node("Mystery", ["x"], ["t"], name="deep")], "b", [],
                               [helper.make_tensor_value_info("t", TensorProto.FLOAT, None)])
    proto = model([node("If", ["c"], ["y"], then_branch=branch, else_branch=branch, name="choice")], (1, 3),
                  [constant("c", True, bool)])
    with pytest.raises(UnsupportedOperator, match=r"Mystery: operator not supported \(node 'choice/deep'\)"):
        imported(proto)


def test_integers_do_not_reach_importers_of_floats():
    nodes = [node("ArgMax", ["x"], ["i"], axis=1, name="arg"), node("Sigmoid", ["i"], ["y"], name="sig")]
    with pytest.raises((UnsupportedOperator, InvalidInput), match="int64"):
        imported(model(nodes, (1, 3)))
    half = [node("Cast", ["x"], ["h"], to=TensorProto.FLOAT16), node("Relu", ["h"], ["y"])]
    with pytest.raises(UnsupportedOperator, match="float16"):
        imported(model(half, (1, 3)))


def test_what_an_operator_needs_is_named_with_it():
    norm = node("LRN", ["x"], ["y"], size=3, name="n")
    proto = model([node("RandomNormalLike", ["x"], ["r"], name="r"), norm], (1, 3, 2))
    with pytest.raises(UnsupportedOperator, match=r"RandomNormalLike: random values .*\(node 'r'\)"):
        imported(proto)


def test_sparse_initialisers():
    proto = model([node("MatMul", ["x", "w"], ["y"])], (1, 2))
    values, indices = helper.make_tensor("w", 1, [2], [3.0, 4.0]), helper.make_tensor("i", 7, [2], [1, 2])
    proto.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [2, 2]))
    network = imported(proto)
    x = torch.tensor([[[1.0, 10.0]]], dtype=torch.float64)
    assert network.graph.evaluate(x).tolist() == [[[40.0, 3.0]]]


def test_several_constants_of_one_graph():
    graph = helper.make_graph([node("Clip", ["x", "low"], ["y"]), node("Add", ["x", "w"], ["z"])], "g", [], [],
                              [constant("low", -np.inf), constant("w", 2.0)])
    assert initialisers(graph)["w"].array == 2.0
    graph.initializer[1].CopyFrom(constant("w", np.inf))
    with pytest.raises(InvalidInput, match="'w'"):
        initialisers(graph)
