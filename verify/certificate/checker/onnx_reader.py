"""The part of the ONNX file format (protobuf wire format, onnx.proto) that networks need, as plain values.

A message is a sequence of fields: varint (number << 3 | wire type), then a varint (0), 8 bytes (1), a length and so
many bytes (2) or 4 bytes (5). Fields that would change the meaning are refused (`REFUSED`); all others that are not
read (texts, inferred shapes, metadata) are skipped. What readers might read differently is refused as well: a single
field that occurs twice, another wire type, data that end early.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from verify.certificate.checker.errors import Rejected, require

REFUSED = MappingProxyType({
    ("model", 25): "functions", ("graph", 15): "sparse_initializer", ("node", 8): "overload",
    ("attribute", 21): "ref_attr_name", ("tensor", 3): "segment", ("tensor", 13): "external_data",
})
VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5
# TensorProto.DataType -> numpy type, and the field that holds the numbers when raw_data does not.
TYPES = MappingProxyType({1: ("<f4", 4), 6: ("<i4", 5), 7: ("<i8", 7), 9: ("?", 5), 11: ("<f8", 10)})
STANDARD = ("", "ai.onnx")


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


class Message:
    """The fields of a message: number -> its occurrences, each a wire type and the encoded content."""

    def __init__(self, kind: str, data: memoryview):
        self.kind, self.fields, at = kind, {}, 0
        while at < len(data):
            key, at = _varint(data, at)
            number, wire = key >> 3, key & 7
            self.require(wire in (VARINT, EIGHT, BYTES, FOUR) and number > 0 and (kind, number) not in REFUSED,
                         REFUSED.get((kind, number), f"field {number} of wire type {wire}"))
            if wire == BYTES:
                size, at = _varint(data, at)
            else:
                size = _varint(data, at)[1] - at if wire == VARINT else 8 if wire == EIGHT else 4
            self.fields.setdefault(number, []).append((wire, data[at : at + size]))
            at += size
        self.require(at == len(data), "a field that ends early")

    def require(self, condition: bool, otherwise: str) -> None:
        require(condition, f"the network file is damaged or not supported: a {self.kind} has {otherwise}")

    def all(self, number: int, *wires: int) -> list[memoryview]:
        fields = self.fields.get(number, ())
        self.require(all(wire in wires for wire, _ in fields), f"field {number} of another wire type than {wires}")
        return [value for _, value in fields]

    def one(self, number: int, wire: int = BYTES, absent: bytes = b"") -> memoryview:
        values = self.all(number, wire)
        self.require(len(values) < 2, f"field {number} twice")
        return values[0] if values else memoryview(absent)

    def message(self, kind: str, number: int) -> Message:
        return Message(kind, self.one(number))

    def messages(self, kind: str, number: int) -> list[Message]:
        return [Message(kind, value) for value in self.all(number, BYTES)]

    def text(self, number: int) -> str:
        return bytes(self.one(number)).decode()

    def texts(self, number: int) -> tuple[str, ...]:
        return tuple(bytes(value).decode() for value in self.all(number, BYTES))

    def integer(self, number: int) -> int:
        return _integers(self.one(number, VARINT, bytes(1)))[0]

    def numbers(self, number: int, dtype: str = "<i8") -> list[int] | list[float]:
        """A repeated number, packed or not."""
        wire = {"<f4": FOUR, "<f8": EIGHT}.get(dtype, VARINT)
        decode = _integers if wire == VARINT else lambda value: np.frombuffer(value, dtype).tolist()
        return [number for value in self.all(number, wire, BYTES) for number in decode(value)]


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """The number at position `at` and the position behind it."""
    value = 0
    for k, byte in enumerate(data[at : at + 10]):
        value |= (byte & 127) << 7 * k
        if byte < 128:
            return value & (2**64 - 1), at + k + 1
    raise Rejected("the network file is damaged: a number ends early or is too long")


def _integers(data: memoryview) -> list[int]:
    """Signed numbers, one behind the other."""
    found, at = [], 0
    while at < len(data):
        value, at = _varint(data, at)
        found.append(value - 2**64 if value >= 2**63 else value)
    return found


def read_model(data: bytes) -> Model:
    """The model in `data`; `Rejected` when it is no ONNX model, or holds what is not understood."""
    try:
        return _model(Message("model", memoryview(data)))
    except (ValueError, OverflowError) as error:
        raise Rejected(f"the network file is damaged: no text, or numbers of another type ({error})") from error


def _model(model: Message) -> Model:
    graph = model.message("graph", 7)
    opsets = {entry.integer(2) for entry in model.messages("opset", 8) if entry.text(1) in STANDARD} or {1}
    require(len(opsets) == 1, f"the network names several opsets: {sorted(opsets)}")
    tensors = graph.messages("tensor", 5)
    constants = {tensor.text(8): _array(tensor) for tensor in tensors}
    require(len(constants) == len(tensors), "two initializers of the network have the same name")
    ends = (tuple(map(_value, graph.messages("value", number))) for number in (11, 12))
    return Model(opsets.pop(), tuple(map(_node, graph.messages("node", 1))), constants, *ends)


def _array(tensor: Message) -> np.ndarray:
    name, dims, kind = tensor.text(8), tensor.numbers(1), tensor.integer(2)
    require(not tensor.integer(14) and kind in TYPES, f"tensor {name!r} is in another file or of data type {kind}")
    (dtype, field), raw = TYPES[kind], 9 in tensor.fields
    require(not raw or not any(f in tensor.fields for _, f in TYPES.values()), f"tensor {name!r} has numbers twice")
    array = np.frombuffer(tensor.one(9), dtype) if raw else np.array(tensor.numbers(field, dtype), dtype)
    require(min(dims, default=1) >= 0 and math.prod(dims) == array.size, f"tensor {name!r} is not of shape {dims}")
    return array.reshape(dims)


# AttributeProto.AttributeType -> what the attribute holds.
ATTRIBUTES = MappingProxyType({
    1: lambda entry: float(np.frombuffer(entry.one(2, FOUR, bytes(4)), "<f4")[0]), 2: lambda entry: entry.integer(3),
    3: lambda entry: entry.text(4), 4: lambda entry: _array(entry.message("tensor", 5)),
    6: lambda entry: entry.numbers(7, "<f4"), 7: lambda entry: entry.numbers(8),
})


def _node(node: Message) -> Node:
    op_type, outputs = node.text(4), node.texts(2)
    name = node.text(3) or next(iter(outputs), op_type)
    require(node.text(7) in STANDARD, f"node {name!r} ({op_type}): domain {node.text(7)!r} is not supported")
    attributes = {}
    for entry in node.messages("attribute", 5):
        key, kind = entry.text(1), entry.integer(20)
        require(kind in ATTRIBUTES and key not in attributes,
                f"node {name!r} ({op_type}): attribute {key!r} is there twice or of type {kind}")
        attributes[key] = ATTRIBUTES[kind](entry)
    return Node(op_type, name, node.texts(1), outputs, attributes)


def _value(entry: Message) -> tuple[str, str, tuple[int, ...] | None]:
    """Name, type ("" when it is no tensor of a known one) and declared sizes."""
    tensor = entry.message("type", 2).message("tensor_type", 1)
    sizes = tuple(max(0, dim.integer(1)) for dim in tensor.message("shape", 2).messages("dim", 1))
    return entry.text(1), TYPES.get(tensor.integer(1), ("",))[0], sizes if 2 in tensor.fields else None
