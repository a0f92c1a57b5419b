"""Operators that ONNX defines by others: their body as nodes.

The fallback for an operator without an importer. Bodies come with the installed `onnx` (`OpSchema`), in the version for
the network's opset; some depend on the types of the inputs and on which are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, FunctionProto, NodeProto, defs, helper

from verify.onnx_import.call import Value, Variable


@dataclass(frozen=True, eq=False)
class Body:
    """The nodes that stand for one node; `inputs` and `outputs` name its values in them."""

    nodes: tuple[NodeProto, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    opset: int


def body(node: NodeProto, opset: int, values: Sequence[Value | None]) -> Body | None:
    """The body of the node's operator, attributes and left-out inputs filled in; None where there is none."""
    try:
        schema = defs.get_schema(node.op_type, opset, "")
    except defs.SchemaError:
        return None
    found = _function(schema, node, opset, values)
    if found is None:
        return None
    attributes = {name: attribute.default_value for name, attribute in schema.attributes.items()
                  if attribute.default_value.type}
    attributes |= {attribute.name: attribute for attribute in node.attribute}
    given = [name for name, value in zip(found.input, values, strict=False) if value is not None]
    absent = set(found.input) - set(given)
    nodes = tuple(_filled(inner, attributes, absent) for inner in found.node)
    imports = [entry.version for entry in found.opset_import if entry.domain in ("", "ai.onnx")]
    return Body(nodes, tuple(found.input), tuple(found.output), imports[0] if imports else opset)


def has_body(op_type: str, opset: int) -> bool:
    """Whether ONNX defines the operator by others."""
    try:
        schema = defs.get_schema(op_type, opset, "")
    except defs.SchemaError:
        return False
    return schema.has_function or schema.has_context_dependent_function


def _version(versions: Sequence[int], opset: int) -> int:
    return max((v for v in versions if v <= opset), default=min(versions))


def _function(
    schema: defs.OpSchema, node: NodeProto, opset: int, values: Sequence[Value | None]
) -> FunctionProto | None:
    if schema.has_function:
        data = schema.get_function_with_opset_version(_version(schema.function_opset_versions, opset))
    elif schema.has_context_dependent_function:
        types = [_type(value).SerializeToString() for value in values]
        version = _version(schema.context_dependent_function_opset_versions, opset)
        data = schema.get_context_dependent_function_with_opset_version(version, node.SerializeToString(), types)
    else:
        return None
    try:
        return FunctionProto.FromString(data) if data else None
    except DecodeError:
        return None


def _type(value: Value | None) -> onnx.TypeProto:
    if value is None:
        return onnx.TypeProto()
    if isinstance(value, Variable):
        return helper.make_tensor_type_proto(value.element, value.shape)
    return helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(value.array.dtype), value.array.shape)


def _filled(node: NodeProto, attributes: dict[str, AttributeProto], absent: set[str]) -> NodeProto:
    """A node of a body with the values of the attributes it refers to; inputs that were left out stay so."""
    done = NodeProto()
    done.CopyFrom(node)
    done.ClearField("input")
    done.input.extend("" if name in absent else name for name in node.input)
    done.ClearField("attribute")
    for attribute in node.attribute:
        if not attribute.ref_attr_name:
            done.attribute.append(attribute)
        elif attribute.ref_attr_name in attributes:
            value = AttributeProto()
            value.CopyFrom(attributes[attribute.ref_attr_name])
            value.name = attribute.name
            done.attribute.append(value)
    return done
