"""Constant folding: nodes that do not depend on the network input are computed on the way.

The arithmetic is that of the ONNX reference implementation in the dtypes of the file, as any runtime would do it, or
of onnxruntime where the reference lacks a version or is wrong. They are imported only when a network needs them.
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, SparseTensorProto, defs, helper, numpy_helper, shape_inference

from verify.errors import InvalidInput, UnsupportedOperator

IR_VERSION = 8
RANDOM = ("Random", "Bernoulli", "Multinomial")
BY_RUNTIME = ("BatchNormalization", "LRN", "MaxPool")
"""What the reference computes wrongly: versions of opset 9 to 13, several channels, uneven pads."""


def constant_node(node: NodeProto) -> np.ndarray:
    """The value of a `Constant` node, in any of its attribute forms."""
    attribute = node.attribute[0]
    value = helper.get_attribute_value(attribute)
    if attribute.name == "value":
        return numpy_helper.to_array(value)
    if attribute.name == "sparse_value":
        return dense(value)
    if attribute.name in ("value_float", "value_floats"):
        return np.array(value, dtype=np.float32)
    if attribute.name in ("value_int", "value_ints"):
        return np.array(value, dtype=np.int64)
    raise UnsupportedOperator(f"Constant: its form {attribute.name} is not a float or integer tensor")


def dense(tensor: SparseTensorProto) -> np.ndarray:
    """A sparse tensor with its zeros; its indices are flat, or one row of coordinates per value."""
    values, indices = numpy_helper.to_array(tensor.values), numpy_helper.to_array(tensor.indices)
    found = np.zeros(tuple(tensor.dims), dtype=values.dtype)
    flat = indices if indices.ndim == 1 else np.ravel_multi_index(tuple(indices.T), found.shape)
    found.reshape(-1)[flat] = values
    return found


def evaluate(node: NodeProto, arrays: dict[str, np.ndarray], opset: int) -> tuple[np.ndarray, ...]:
    """The outputs of `node` on known inputs (name -> array)."""
    label = f"node {node.name or node.output[0]!r} ({node.op_type}, opset {opset})"
    if node.op_type.startswith(RANDOM):
        raise UnsupportedOperator(f"{node.op_type}: random values have no bounds")
    from onnx.reference import ReferenceEvaluator

    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(arrays[name].dtype), arrays[name].shape)
        for name in dict.fromkeys(node.input) if name
    ]
    outputs = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
    model = helper.make_model(
        helper.make_graph([node], "fold", inputs, outputs), opset_imports=[helper.make_opsetid("", opset)]
    )
    if node.op_type in BY_RUNTIME:
        return _by_runtime(node, model, arrays)
    try:
        # Operators that are functions of others may depend on types.
        typed = shape_inference.infer_shapes(model) if defs.has(node.op_type) else model
        return tuple(np.asarray(value) for value in ReferenceEvaluator(typed).run(None, arrays))
    except NotImplementedError as error:
        raise UnsupportedOperator(f"{node.op_type} on constants: {_line(error)}") from error
    except (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError, ZeroDivisionError) as error:
        if "No implementation" in str(error):
            return _by_runtime(node, model, arrays)
        raise InvalidInput(f"{label} on constants fails: {_line(error)}") from error


def _by_runtime(node: NodeProto, model: ModelProto, arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as failures

    with_constants = ModelProto()
    with_constants.CopyFrom(model)
    with_constants.ir_version = IR_VERSION
    del with_constants.graph.input[:]
    with_constants.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in arrays.items())
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    known = (failures.Fail, failures.InvalidArgument, failures.InvalidGraph, failures.NotImplemented)
    try:
        session = onnxruntime.InferenceSession(
            with_constants.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return tuple(np.asarray(value) for value in session.run(None, {}))
    except known as error:
        raise UnsupportedOperator(f"{node.op_type} on constants: {_line(error)}") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
