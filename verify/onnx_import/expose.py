"""Hidden values of a model become further outputs of it, so that properties can speak about them.

The model that is imported, compared and replayed is then this one: its outputs, then the hidden values in the order in
which they were asked for.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from types import MappingProxyType

import onnx
from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from verify.errors import InvalidInput

STANDARD = MappingProxyType({"float": "float32", "double": "float64"})
"""Element types whose name in the standard is not the one in ONNX's files."""


def expose(onnx_bytes: bytes, names: Sequence[str], source: str) -> bytes:
    """The model with the values `names` behind its outputs. Raises `InvalidInput` for what no node computes."""
    model = onnx.load_model_from_string(onnx_bytes)
    computed = [name for node in model.graph.node for name in node.output if name]
    types = _types(model)
    taken = {value.name for value in model.graph.output}
    for name in names:
        if name not in computed:
            near = difflib.get_close_matches(name, computed, 3, 0.3)
            raise InvalidInput(f"{source}: no node computes a value named {name!r}; values with similar names: {near}")
        output = name
        if name in taken:
            # A value is an output once; a copy is as good.
            output = next(f"{name}~{k}" for k in range(len(taken) + 1) if f"{name}~{k}" not in {*taken, *computed})
            model.graph.node.append(helper.make_node("Identity", [name], [output]))
        taken.add(output)
        model.graph.output.append(_described(output, types.get(name)))
    return model.SerializeToString()


def element_types(onnx_bytes: bytes) -> dict[str, str]:
    """The element types of a model's inputs and outputs, by the names that the VNN-LIB standard uses."""
    graph = onnx.load_model_from_string(onnx_bytes).graph
    found = {}
    for value in (*graph.input, *graph.output):
        name = TensorProto.DataType.Name(value.type.tensor_type.elem_type).lower()
        found[value.name] = STANDARD.get(name, name)
    return found


def _types(model: ModelProto) -> dict[str, ValueInfoProto]:
    """What is known about the values inside of a model."""
    inferred = onnx.shape_inference.infer_shapes(model)
    return {value.name: value for value in (*inferred.graph.value_info, *inferred.graph.output)}


def _described(name: str, known: ValueInfoProto | None) -> ValueInfoProto:
    """An output of a known type, or else of the type that almost all values have; its shape is the runtime's business.
    """
    kind = known.type.tensor_type.elem_type if known is not None else TensorProto.FLOAT
    return helper.make_tensor_value_info(name, kind, None)
