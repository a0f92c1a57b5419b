"""The part of the ONNX file format (protobuf wire format, onnx.proto) that networks need, as plain values.

A message is a sequence of fields: varint (number << 3 | wire type), then a varint (0), 8 bytes (1), a length and so
many bytes (2) or 4 bytes (5). A table per message names the fields that are read, and those that would change the
meaning and are refused; all others (texts, inferred shapes, metadata) are skipped. What readers might read differently
is refused as well: a single field that occurs twice, another wire type, data that end early.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from verify.certificate.checker.errors import Rejected

# "name:kind": int, float, bytes, or another message; * repeated (numbers also packed); "!name" refused.
MESSAGES = MappingProxyType({
    "model": {7: "graph:graph", 8: "opset_import:opset*", 25: "!functions"},
    "opset": {1: "domain:bytes", 2: "version:int"},
    "graph": {1: "node:node*", 5: "initializer:tensor*", 11: "input:value*", 12: "output:value*",
              15: "!sparse_initializer"},
    "node": {1: "input:bytes*", 2: "output:bytes*", 3: "name:bytes", 4: "op_type:bytes", 5: "attribute:attribute*",
             7: "domain:bytes", 8: "!overload"},
    "attribute": {1: "name:bytes", 2: "f:float", 3: "i:int", 4: "s:bytes", 5: "t:tensor", 7: "floats:float*",
                  8: "ints:int*", 20: "type:int", 21: "!ref_attr_name"},
    "tensor": {1: "dims:int*", 2: "data_type:int", 3: "!segment", 4: "float_data:float*", 5: "int32_data:int*",
               7: "int64_data:int*", 8: "name:bytes", 9: "raw_data:bytes", 10: "double_data:double*",
               13: "!external_data", 14: "data_location:int"},
    "value": {1: "name:bytes", 2: "type:type"},
    "type": {1: "tensor_type:tensor_type"},
    "tensor_type": {1: "elem_type:int", 2: "shape:shape"},
    "shape": {1: "dim:dim*"},
    "dim": {1: "dim_value:int"},
})
WIRES = MappingProxyType({"int": 0, "double": 1, "float": 5})
FLOATS = MappingProxyType({"float": "<f4", "double": "<f8"})
# TensorProto.DataType -> numpy type, and the field that holds it when raw_data does not.
TYPES = MappingProxyType({
    1: ("<f4", "float_data"), 6: ("<i4", "int32_data"), 7: ("<i8", "int64_data"), 9: ("?", "int32_data"),
    11: ("<f8", "double_data"),
})
STANDARD = ("", "ai.onnx")
ATTRIBUTES = MappingProxyType({1: "f", 2: "i", 3: "s", 4: "t", 6: "floats", 7: "ints"})


@dataclass(frozen=True, eq=False)
class Node:
    """One operator; an empty name in `inputs` is an input that was left out."""

    op_type: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Model:
    """`inputs` and `outputs`: (name, numpy type, sizes), sizes with 0 for an open one, or None."""

    opset: int
    nodes: tuple[Node, ...]
    constants: dict[str, np.ndarray]
    inputs: tuple[tuple[str, str, tuple[int, ...] | None], ...]
    outputs: tuple[tuple[str, str, tuple[int, ...] | None], ...]


def read_model(data: bytes) -> Model:
    """The model in `data`; `Rejected` when it is no ONNX model, or holds what is not understood."""
    model = _message("model", memoryview(data))
    graph = model["graph"] or _message("graph", memoryview(b""))
    opsets = {entry["version"] for entry in model["opset_import"] if _text(entry["domain"]) in STANDARD} or {1}
    if len(opsets) > 1:
        raise Rejected(f"the network names several opsets: {sorted(opsets)}")
    constants = {_text(tensor["name"]): _array(tensor) for tensor in graph["initializer"]}
    if len(constants) != len(graph["initializer"]):
        raise Rejected("two initializers of the network have the same name")
    ends = (tuple(_value(entry) for entry in graph[key]) for key in ("input", "output"))
    return Model(opsets.pop(), tuple(_node(node) for node in graph["node"]), constants, *ends)


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """The number at position `at` and the position behind it."""
    value = 0
    for k in range(10):
        if at + k >= len(data):
            break
        value |= (data[at + k] & 127) << 7 * k
        if data[at + k] < 128:
            return value & (2**64 - 1), at + k + 1
    raise Rejected("the network file is damaged: a number ends early or is too long")


def _field(data: memoryview, at: int) -> tuple[int, int, Any, int]:
    """Number, wire type and content of the field at position `at`, and the position behind it."""
    key, at = _varint(data, at)
    wire = key & 7
    if key < 8 or wire not in (0, 1, 2, 5):
        raise Rejected(f"the network file is damaged: field {key >> 3} of wire type {wire}")
    if wire == 0:
        value, end = _varint(data, at)
        return key >> 3, wire, value, end
    length, at = _varint(data, at) if wire == 2 else (8 if wire == 1 else 4, at)
    if at + length > len(data):
        raise Rejected("the network file is damaged: it ends inside a field")
    return key >> 3, wire, data[at : at + length], at + length


def _message(kind: str, data: memoryview) -> dict[str, Any]:
    """Field name -> value: a list where repeated; absent numbers are 0, all else that is absent is None."""
    table, at = MESSAGES[kind], 0
    plain = [[*entry.rstrip("*").split(":"), entry[-1]] for entry in table.values() if entry[0] != "!"]
    found = {name: [] if last == "*" else 0 if of in WIRES else None for name, of, last in plain}
    seen: set[int] = set()
    while at < len(data):
        number, wire, value, at = _field(data, at)
        entry = table.get(number)
        if entry is None:
            continue
        if entry[0] == "!":
            raise Rejected(f"the network's {kind} has {entry[1:]}, which is not supported")
        name, of = entry.rstrip("*").split(":")
        values = _values(kind, name, of, wire, value, entry[-1] == "*")
        if entry[-1] == "*":
            found[name].extend(values)
        elif number in seen:
            raise Rejected(f"the network's {kind} has {name} twice")
        else:
            found[name] = values[0]
        seen.add(number)
    return found


def _values(kind: str, name: str, of: str, wire: int, value: Any, repeated: bool) -> list[Any]:
    """One occurrence of a field; several values where numbers are packed."""
    packed = wire == 2 and repeated and of in WIRES
    if not packed and wire != WIRES.get(of, 2):
        raise Rejected(f"the network's {kind} has {name} with wire type {wire}")
    if of in MESSAGES:
        return [_message(of, value)]
    if of == "bytes":
        return [bytes(value)]
    if of in FLOATS:
        if len(value) % int(FLOATS[of][-1]):
            raise Rejected(f"the network's {kind} has {name} of a broken length")
        return np.frombuffer(value, FLOATS[of]).tolist()
    numbers, at = [] if packed else [value], 0
    while packed and at < len(value):
        number, at = _varint(value, at)
        numbers.append(number)
    return [number - 2**64 if number >= 2**63 else number for number in numbers]


def _text(value: bytes | None) -> str:
    try:
        return (value or b"").decode()
    except UnicodeDecodeError:
        raise Rejected("a name in the network is no valid text") from None


def _array(tensor: dict[str, Any]) -> np.ndarray:
    name = _text(tensor["name"])
    if tensor["data_location"] or tensor["data_type"] not in TYPES:
        raise Rejected(f"tensor {name!r} is in another file or of data type {tensor['data_type']}, not {list(TYPES)}")
    dtype, field = TYPES[tensor["data_type"]]
    raw, typed = tensor["raw_data"], tensor[field]
    if raw is not None and any(tensor[other] for _, other in TYPES.values()):
        raise Rejected(f"tensor {name!r} holds its numbers twice")
    count = len(typed) if raw is None else len(raw) / np.dtype(dtype).itemsize
    if min(tensor["dims"], default=1) < 0 or math.prod(tensor["dims"]) != count:
        raise Rejected(f"tensor {name!r} of shape {tensor['dims']} holds {count} numbers")
    try:
        array = np.array(typed, dtype=dtype) if raw is None else np.frombuffer(raw, dtype)
    except OverflowError:
        raise Rejected(f"tensor {name!r} holds numbers beyond its type") from None
    return array.reshape(tensor["dims"])


def _node(node: dict[str, Any]) -> Node:
    op_type, outputs = _text(node["op_type"]), tuple(map(_text, node["output"]))
    name = _text(node["name"]) or next(iter(outputs), op_type)
    if _text(node["domain"]) not in STANDARD:
        raise Rejected(f"node {name!r} ({op_type}): operators of domain {_text(node['domain'])!r} are not supported")
    attributes = {}
    for entry in node["attribute"]:
        key = _text(entry["name"])
        if entry["type"] not in ATTRIBUTES or key in attributes:
            raise Rejected(f"node {name!r} ({op_type}): attribute {key!r} is there twice or of type {entry['type']}")
        value = entry[ATTRIBUTES[entry["type"]]]
        if entry["type"] == 4:
            value = _array(value or _message("tensor", memoryview(b"")))
        attributes[key] = _text(value) if entry["type"] == 3 else value
    return Node(op_type, name, tuple(map(_text, node["input"])), outputs, attributes)


def _value(entry: dict[str, Any]) -> tuple[str, str, tuple[int, ...] | None]:
    """Name, type ("" when it is no tensor of a known one) and declared sizes."""
    tensor = (entry["type"] or {}).get("tensor_type") or {}
    shape = tensor.get("shape")
    sizes = None if shape is None else tuple(max(0, dim["dim_value"]) for dim in shape["dim"])
    return _text(entry["name"]), TYPES.get(tensor.get("elem_type"), ("", ""))[0], sizes
