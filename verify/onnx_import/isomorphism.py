"""Have two models the same graph? `isomorphic-to` of VNN-LIB 2.0 promises it: one structure, other weights.

Both graphs are written down in one canonical order, from the outputs backwards (inputs of a node in their order), every
value under the number of its first appearance. They are isomorphic when these lists agree: operators, attributes, how
values are connected, shapes of weights. Floating-point weights may differ; integer constants (axes, shapes, indices)
are structure and may not.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, numpy_helper

from verify.errors import InvalidInput

FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)


class Entry(NamedTuple):
    """One line of the list: what it is, and what a message calls it."""

    what: tuple
    name: str


def check_isomorphic(one: bytes, other: bytes, names: tuple[str, str]) -> None:
    """Raises `InvalidInput` naming the first place where two models part. `names`: what to call the models."""
    first, second = (_written(onnx.load_model_from_string(model).graph) for model in (one, other))
    for a, b in zip(first, second, strict=False):
        if a.what != b.what:
            raise InvalidInput(f"{names[0]} and {names[1]} are not isomorphic: {_told(a)} against {_told(b)}")
    if len(first) != len(second):
        raise InvalidInput(f"{names[0]} and {names[1]} are not isomorphic: {len(first)} against {len(second)} nodes, "
                           "inputs and weights")


def _told(entry: Entry) -> str:
    return f"{entry.name!r} ({' '.join(map(str, entry.what[:2]))})"


def _written(graph: GraphProto) -> list[Entry]:
    """The canonical list."""
    makers = {name: node for node in graph.node for name in node.output if name}
    weights = {tensor.name: tensor for tensor in graph.initializer}
    inputs = [value.name for value in graph.input if value.name not in weights]
    number: dict[str, int] = {}
    found: list[Entry] = []

    def visit(name: str) -> None:
        """Writes down everything that `name` depends on, then `name` itself; iterative, for networks are deep."""
        stack = [(name, False)]
        while stack:
            value, ready = stack.pop()
            if not value or value in number:
                continue
            node = makers.get(value)
            if node is None or ready:
                _write(value, node)
                continue
            stack.append((value, True))
            stack += [(source, False) for source in reversed(node.input)]

    def _write(value: str, node: NodeProto | None) -> None:
        if node is not None and node.op_type != "Constant":
            sources = tuple(number.get(source, -1) for source in node.input)
            found.append(Entry((node.op_type, sources, node.domain, _attributes(node)), node.name or value))
            for output in node.output:
                if output:
                    number.setdefault(output, len(number))
            return
        number[value] = len(number)
        tensor = weights.get(value) if node is None else _constant(node)
        if tensor is not None:
            found.append(Entry(("weight", *_structure(tensor)), value))
        else:
            found.append(Entry(("input", inputs.index(value) if value in inputs else -1), value))

    for output in graph.output:
        visit(output.name)
    return found + [Entry(("output", number.get(output.name, -1)), output.name) for output in graph.output]


def _constant(node: NodeProto) -> TensorProto:
    """The value of a Constant node as a tensor."""
    (attribute,) = node.attribute
    value = onnx.helper.get_attribute_value(attribute)
    return value if isinstance(value, TensorProto) else numpy_helper.from_array(np.asarray(value))


def _structure(tensor: TensorProto) -> tuple:
    """What of a constant belongs to the structure: its shape, and if it counts or indexes, its value."""
    if tensor.data_type in FLOATS:
        return (tuple(tensor.dims), "floating point")
    return (tuple(tensor.dims), numpy_helper.to_array(tensor).tobytes())


def _attributes(node: NodeProto) -> tuple:
    """The attributes, floating-point numbers (slopes, epsilons: weights) left aside."""
    kept = (a for a in node.attribute if a.type not in (AttributeProto.FLOAT, AttributeProto.FLOATS))
    return tuple(sorted((a.name, a.SerializeToString(deterministic=True)) for a in kept))
