"""Tiny ONNX models for queries with several networks, inputs, outputs and hidden values; float32 weights that are exact
in few digits, so that borders can be hit."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper


def made(nodes, inputs: dict[str, list[int]], outputs: dict[str, list[int]], weights: dict[str, object],
         elem: int = TensorProto.FLOAT) -> bytes:
    dtype = np.float64 if elem == TensorProto.DOUBLE else np.float32
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info(name, elem, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, elem, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(np.asarray(value, dtype), name) for name, value in weights.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()


def absolute(weight=((1.0, -1.0), (0.0, 0.0)), bias=(0.0, 0.0), elem: int = TensorProto.FLOAT) -> bytes:
    """x (1, 2) -> h = relu(x W + b) (1, 2), y = (h0 + h1, h0 - h1): with the given weight y = (|x0|, x0)."""
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["pre"]), helper.make_node("Relu", ["pre"], ["h"]),
             helper.make_node("MatMul", ["h", "v"], ["y"])]
    return made(nodes, {"x": [1, 2]}, {"y": [1, 2]}, {"w": weight, "b": bias, "v": [[1, 1], [1, -1]]}, elem)


def two_in_two_out(shape: list[int]) -> bytes:
    """(a (1, 2), b of one entry) -> sum = relu(a0 + a1) + b (1, 1), scaled = b a (1, 2)."""
    nodes = [helper.make_node("MatMul", ["a", "w"], ["s"]), helper.make_node("Relu", ["s"], ["r"]),
             helper.make_node("Add", ["r", "b"], ["sum"]), helper.make_node("Mul", ["a", "b"], ["scaled"])]
    return made(nodes, {"a": [1, 2], "b": shape}, {"sum": [1, 1], "scaled": [1, 2]}, {"w": [[1], [1]]})
