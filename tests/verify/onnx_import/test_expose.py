"""Hidden values become outputs of the model, and of the import."""

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper

from tests.verify.onnx_import.models import constant, model
from verify.errors import InvalidInput
from verify.onnx_import import compare_with_onnxruntime, from_bytes
from verify.onnx_import.expose import element_types, expose


def network(elem=TensorProto.FLOAT) -> bytes:
    dtype = np.float64 if elem == TensorProto.DOUBLE else np.float32
    nodes = [helper.make_node("MatMul", ["x", "w"], ["scores"]), helper.make_node("Relu", ["scores"], ["active"]),
             helper.make_node("ReduceSum", ["active"], ["y"], keepdims=1)]
    return model(nodes, (1, 2), [constant("w", [[1, -1, 2], [0, 1, 1]], dtype)], elem=elem).SerializeToString()


def test_hidden_values_follow_the_outputs():
    exposed = from_bytes(expose(network(), ["active", "scores"], "net"))
    assert [port.name for port in exposed.outputs] == ["y", "active", "scores"]
    x = torch.tensor([[[1.0, -2.0]], [[0.5, 0.25]]], dtype=torch.float64)
    assert exposed.graph.evaluate(x).tolist() == [[1, 1, 0, 0, 1, -3, 0], [1.75, 0.5, 0, 1.25, 0.5, -0.25, 1.25]]
    assert compare_with_onnxruntime(exposed, x) < 1e-6


def test_values_that_are_asked_for_twice_or_are_outputs_already():
    exposed = from_bytes(expose(network(), ["y", "active", "active"], "net"))
    assert [port.size for port in exposed.outputs] == [1, 1, 3, 3]
    assert len({port.name for port in exposed.outputs}) == 4
    compare_with_onnxruntime(exposed, torch.ones(1, 1, 2))


@pytest.mark.parametrize("name", ["actif", "x", "w", ""])
def test_what_no_node_computes(name):
    with pytest.raises(InvalidInput, match=f"net: no node computes a value named '{name}'; values with similar names"):
        expose(network(), [name], "net")
    with pytest.raises(InvalidInput, match="active"):
        expose(network(), ["actif"], "net")


def test_element_types_by_the_names_of_the_standard():
    assert element_types(network()) == {"x": "float32", "y": "float32"}
    exposed = expose(network(TensorProto.DOUBLE), ["active"], "net")
    assert element_types(exposed) == {"x": "float64", "y": "float64", "active": "float64"}
    assert from_bytes(exposed).outputs[1].double
