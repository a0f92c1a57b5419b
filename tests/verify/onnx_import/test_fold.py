"""Constants computed on the way."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from verify.errors import InvalidInput, UnsupportedOperator
from verify.onnx_import.fold import constant_node, dense, evaluate


def test_integer_arithmetic_stays_integer():
    (value,) = evaluate(helper.make_node("Div", ["a", "b"], ["c"]), {"a": np.array([7]), "b": np.array([2])}, 13)
    assert value.dtype == np.int64 and value.tolist() == [3]


def test_several_outputs_and_opsets():
    a = np.arange(5.0)
    old = evaluate(helper.make_node("Split", ["a"], ["b", "c"], split=[1, 4]), {"a": a}, 11)
    new = evaluate(helper.make_node("Split", ["a", "s"], ["b", "c"]), {"a": a, "s": np.array([1, 4])}, 13)
    assert [v.tolist() for v in old] == [v.tolist() for v in new] == [[0.0], [1.0, 2.0, 3.0, 4.0]]


def test_constants():
    assert constant_node(helper.make_node("Constant", [], ["c"], value_ints=[1, 2])).dtype == np.int64
    assert constant_node(helper.make_node("Constant", [], ["c"], value_float=0.5)).dtype == np.float32
    with pytest.raises(UnsupportedOperator, match="value_string"):
        constant_node(helper.make_node("Constant", [], ["c"], value_string="text"))


def test_sparse_constants():
    """Flat indices, and rows of coordinates."""
    values, wanted = helper.make_tensor("v", 1, [2], [3.0, 4.0]), [[0.0, 3.0], [4.0, 0.0]]
    for indices, shape in (([1, 2], [2]), ([0, 1, 1, 0], [2, 2])):
        sparse = helper.make_sparse_tensor(values, helper.make_tensor("i", 7, shape, indices), [2, 2])
        assert dense(sparse).tolist() == wanted
        assert constant_node(helper.make_node("Constant", [], ["c"], sparse_value=sparse)).tolist() == wanted


def test_old_operators_that_the_reference_lacks():
    """DequantizeLinear of opset 13: onnxruntime computes it."""
    node = helper.make_node("DequantizeLinear", ["q", "s"], ["y"])
    (value,) = evaluate(node, {"q": np.array([2, -3], np.int8), "s": np.float32(0.5)}, 13)
    assert value.tolist() == [1.0, -1.5] and value.dtype == np.float32


@pytest.mark.parametrize("node, constants, wanted", [
    (helper.make_node("BatchNormalization", list("xsbmv"), ["y"], epsilon=0.0),
     {"x": [[3.0]], "s": [2.0], "b": [1.0], "m": [1.0], "v": [4.0]}, [3.0]),
    (helper.make_node("LRN", ["x"], ["y"], size=1, alpha=1.0, beta=1.0, bias=1.0),
     {"x": [[[[1.0]], [[2.0]], [[3.0]]]]}, [0.5, 0.4, 0.3]),
    (helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], pads=[1, 0, 1, 1]), {"x": [[[[-1.0, -2.0]]]]},
     [-1.0, -2.0, -1.0, -2.0]),
], ids=lambda value: getattr(value, "op_type", ""))
def test_what_the_reference_computes_wrongly(node, constants, wanted):
    (value,) = evaluate(node, {name: np.array(v, np.float32) for name, v in constants.items()}, 13)
    assert np.allclose(value.flatten(), wanted)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_functions_of_other_operators(dtype):
    """What they are made of depends on types."""
    x = np.array([[[1.0, 3.0], [2.0, 2.0]]], dtype)
    node = helper.make_node("GroupNormalization", ["x", "s", "b"], ["y"], num_groups=2, epsilon=1.0)
    (value,) = evaluate(node, {"x": x, "s": np.array([2.0, 1.0], dtype), "b": np.array([0.0, 5.0], dtype)}, 21)
    assert value.dtype == dtype and np.allclose(value, [[[-(2**0.5), 2**0.5], [5.0, 5.0]]], atol=1e-6)
    (value,) = evaluate(helper.make_node("Gelu", ["x"], ["y"]), {"x": x}, 20)
    assert value.dtype == dtype and np.allclose(value[0, 0], [0.841344746, 2.99595031], atol=1e-6)


def test_failures_name_the_node():
    node = helper.make_node("Reshape", ["a", "s"], ["c"], name="bad")
    with pytest.raises(InvalidInput, match=r"'bad' .*fails"):
        evaluate(node, {"a": np.arange(3.0), "s": np.array([2, 2])}, 13)
    with pytest.raises(UnsupportedOperator, match="random"):
        evaluate(helper.make_node("RandomUniform", [], ["c"], shape=[1]), {}, 13)
    with pytest.raises(UnsupportedOperator, match="Mystery"):
        evaluate(helper.make_node("Mystery", ["a"], ["c"]), {"a": np.arange(3.0)}, 13)
