"""Element types of outputs, and which importers may read them."""

from __future__ import annotations

import pytest
from onnx import TensorProto, helper

from verify.onnx_import import elements

FLOAT, DOUBLE, INT64, BOOL, UINT8 = (
    TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64, TensorProto.BOOL, TensorProto.UINT8)


@pytest.mark.parametrize("node, opset, inputs, outputs", [
    (helper.make_node("Add", ["a", "b"], ["c"]), 13, (DOUBLE, DOUBLE), (DOUBLE,)),
    (helper.make_node("Greater", ["a", "b"], ["c"]), 13, (FLOAT, FLOAT), (BOOL,)),
    (helper.make_node("Cast", ["a"], ["c"], to=INT64), 13, (FLOAT,), (INT64,)),
    (helper.make_node("Where", ["a", "b", "c"], ["d"]), 16, (BOOL, INT64, INT64), (INT64,)),
    (helper.make_node("TopK", ["a", "k"], ["v", "i"]), 13, (FLOAT, INT64), (FLOAT, INT64)),
    (helper.make_node("Concat", ["a", "b", "c"], ["d"], axis=0), 13, (INT64,) * 3, (INT64,)),
    (helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]), 21, (FLOAT, FLOAT, UINT8), (UINT8,)),
    (helper.make_node("Mystery", ["a"], ["b"]), 13, (FLOAT,), (None,)),
])
def test_types_of_outputs(node, opset, inputs, outputs):
    assert elements.computed_in(node, opset, inputs) == outputs


def test_what_importers_accept():
    assert elements.allowed(FLOAT, "float") and not elements.allowed(INT64, "float")
    assert elements.allowed(INT64, "number") and not elements.allowed(UINT8, "number")
    assert not elements.allowed(BOOL, "number") and elements.allowed(UINT8, "any")
    assert elements.name(TensorProto.INT64) == "int64"
