"""Element types: what ONNX says about the outputs of a node, and which types a variable may have.

The graph computes with real numbers. Booleans are 0 and 1 there, int32 and int64 their values, and both are exact as
long as nothing overflows. Narrow and unsigned integers wrap around, so they may be moved but not computed with.
"""

from __future__ import annotations

from collections.abc import Sequence

from onnx import AttributeProto, NodeProto, TensorProto, defs

BOOL = TensorProto.BOOL
FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE)
INTEGERS = (TensorProto.INT32, TensorProto.INT64)
NARROW = (TensorProto.INT8, TensorProto.UINT8, TensorProto.INT16, TensorProto.UINT16, TensorProto.UINT32,
          TensorProto.UINT64, TensorProto.INT4, TensorProto.UINT4)

# Attributes that name the type of an output which no input has.
CHOSEN = ("to", "dtype", "output_dtype")


def name(element: int) -> str:
    """The type as ONNX writes it, in small letters."""
    return TensorProto.DataType.Name(element).lower()


def allowed(element: int, accepts: str) -> bool:
    """Whether an importer that `accepts` (`verify.onnx_import.registry`) may read a variable of this type."""
    if accepts == "any":
        return True
    return element in FLOATS or (accepts == "number" and element in INTEGERS)


def computed_in(node: NodeProto, opset: int, inputs: Sequence[int | None]) -> tuple[int | None, ...]:
    """The element type of every output, from the operator's type variables; None where it is not fixed by them."""
    try:
        schema = defs.get_schema(node.op_type, opset, "")
    except defs.SchemaError:
        return (None,) * len(node.output)
    given: dict[str, int] = {}
    for k, element in enumerate(inputs):
        if element is not None and schema.inputs:
            given.setdefault(schema.inputs[min(k, len(schema.inputs) - 1)].type_str, element)
    allowed_types = {part.type_param_str: part.allowed_type_strs for part in schema.type_constraints}
    found = []
    for k in range(len(node.output)):
        kind = schema.outputs[min(k, len(schema.outputs) - 1)].type_str
        only = allowed_types.get(kind, [kind])
        found.append(given[kind] if kind in given else _fixed(only[0]) if len(only) == 1 else _chosen(node))
    return tuple(found)


def _fixed(kind: str) -> int | None:
    """`tensor(bool)` as the number of the type."""
    inside = kind.removeprefix("tensor(").removesuffix(")").upper()
    return dict(TensorProto.DataType.items()).get(inside)


def _chosen(node: NodeProto) -> int | None:
    found = [a.i for a in node.attribute if a.name in CHOSEN and a.type == AttributeProto.INT]
    return found[0] if found and found[0] else None
