"""The walk over the ONNX nodes: fold what is known, translate the rest, collect everything that blocks.

All blockers are reported at once, so that a user sees the whole distance to a supported network.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import onnx
import torch
from onnx import ModelProto, NodeProto, ValueInfoProto, helper, numpy_helper

from verify.errors import InvalidInput, ShapeMismatch, UnsupportedOperator
from verify.graph import Graph
from verify.onnx_import import ops
from verify.onnx_import.call import Builder, Call, Known, Value, Variable
from verify.onnx_import.fold import constant_node, evaluate
from verify.onnx_import.part import Port, joint_shape, slices
from verify.onnx_import.registry import lookup
from verify.ops import Concat, Constant, Gather, Input, Reshape

OPSETS = range(8, 25)
FLOATS = MappingProxyType({onnx.TensorProto.FLOAT: False, onnx.TensorProto.DOUBLE: True})
# What array code raises on attributes and shapes that contradict the operator's definition.
MALFORMED = (ValueError, TypeError, IndexError, KeyError, AttributeError, RuntimeError, ArithmeticError)
# Constants of these may be infinite and mean "no limit".
LIMITS = frozenset({"Clip", "Min", "Max", "Where", "Pad"})


@dataclass(frozen=True, eq=False)
class Translated:
    """The graph, and what its input and output stand for (`verify.onnx_import.part`)."""

    graph: Graph
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


@dataclass(frozen=True, eq=False)
class _Translation:
    """State of one walk: values by ONNX name (None: behind a blocker), nodes by what blocks them."""

    opset: int
    builder: Builder = field(default_factory=Builder)
    values: dict[str, Value | None] = field(default_factory=dict)
    blockers: dict[str, list[str]] = field(default_factory=dict)


def opset_of(model: ModelProto) -> int:
    """The opset of the standard operators; refused outside 8 to 24."""
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    opset = versions[0] if versions else 1
    if opset not in OPSETS:
        raise UnsupportedOperator(f"opset {opset} is not supported; opsets {OPSETS[0]} to {OPSETS[-1]} are")
    return opset


def real_inputs(model: ModelProto) -> list[ValueInfoProto]:
    """The inputs that are no initialisers."""
    known = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in known]
    if not inputs:
        raise UnsupportedOperator("the network has no input; one or more float tensors would be accepted")
    return inputs


def input_shape(value: ValueInfoProto) -> tuple[int, ...]:
    """The static shape; a dynamic first (batch) dimension becomes 1."""
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type") or tensor.elem_type not in FLOATS:
        held = value.type.WhichOneof("value")
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type).lower() if held == "tensor_type" else held
        raise UnsupportedOperator(
            f"input {value.name!r} holds {kind}; float and double tensors are supported (make others initialisers)"
        )
    if not tensor.HasField("shape"):
        raise UnsupportedOperator(f"input {value.name!r} declares no shape; a shape with static sizes is needed")
    sizes = []
    for k, dim in enumerate(tensor.shape.dim):
        if not dim.HasField("dim_value") or dim.dim_value <= 0:
            if k > 0:
                raise UnsupportedOperator(
                    f"dimension {k} ({dim.dim_param or '?'}) of input {value.name!r} has no fixed size; the first may"
                )
            sizes.append(1)
        else:
            sizes.append(dim.dim_value)
    return tuple(sizes)


def translate(model: ModelProto) -> Translated:
    """The graph of primitives in float64; raises one `UnsupportedOperator` that lists every blocker."""
    state = _Translation(opset_of(model))
    inputs = tuple(
        Port(value.name, input_shape(value), FLOATS[value.type.tensor_type.elem_type]) for value in real_inputs(model)
    )
    state.values.update(_initialisers(model))
    state.values.update(_entries(state.builder, inputs))
    for node in model.graph.node:
        for name, value in _guarded(state, node):
            state.values[name] = value
    if state.blockers:
        raise _refusal(state)
    found = [_output(state, value.name) for value in model.graph.output]
    if not found:
        raise InvalidInput("the network has no output")
    output = _joint(state.builder, found)
    graph = Graph(tuple(state.builder.nodes), output.name).pruned()
    outputs = tuple(
        Port(value.name, variable.shape, value.type.tensor_type.elem_type == onnx.TensorProto.DOUBLE)
        for value, variable in zip(model.graph.output, found, strict=True)
    )
    return Translated(graph, inputs, outputs)


def _entries(builder: Builder, inputs: tuple[Port, ...]) -> dict[str, Variable]:
    """The inputs as values: the graph's only input, or parts of it."""
    if len(inputs) == 1:
        return {inputs[0].name: builder.add(inputs[0].name, Input(inputs[0].shape))}
    joint = builder.add("inputs", Input(joint_shape(inputs)))
    index = torch.arange(joint.size)
    return {
        port.name: builder.add(port.name, Gather(index[where].reshape(port.shape)), joint)
        for port, where in zip(inputs, slices(inputs), strict=True)
    }


def _output(state: _Translation, name: str) -> Variable:
    if name not in state.values:
        raise InvalidInput(f"no node computes the output {name!r}")
    value = state.values[name]
    if isinstance(value, Variable):
        return value
    if value.array.dtype.kind not in "biuf" or not np.isfinite(value.array).all():
        raise UnsupportedOperator(f"the output {name!r} is a constant that holds no finite numbers")
    return state.builder.add(name, Constant(torch.from_numpy(value.array.astype(np.float64))))


def _joint(builder: Builder, outputs: list[Variable]) -> Variable:
    """The only output, or all of them flat, one behind the other."""
    if len(outputs) == 1:
        return outputs[0]
    flat = [builder.add(f"{value.name}~flat", Reshape((value.size,)), value) for value in outputs]
    return builder.add("outputs", Concat(0), *flat)


def _refusal(state: _Translation) -> UnsupportedOperator:
    """All blockers in one line, alike ones together."""
    parts = []
    for reason, nodes in state.blockers.items():
        more = f" and {len(nodes) - 3} more" if len(nodes) > 3 else ""
        parts.append(f"{reason} (node {', '.join(repr(name) for name in nodes[:3])}{more})")
    count = sum(len(nodes) for nodes in state.blockers.values())
    return UnsupportedOperator(
        f"{count} node{'s' * (count > 1)} of opset {state.opset} cannot be translated: {'; '.join(parts)}. "
        f"Supported operators: {', '.join(ops.supported())}"
    )


def _initialisers(model: ModelProto) -> dict[str, Known]:
    consumers: dict[str, set[str]] = {}
    for node in model.graph.node:
        for name in node.input:
            consumers.setdefault(name, set()).add(node.op_type)
    known = {}
    for tensor in model.graph.initializer:
        try:
            array = numpy_helper.to_array(tensor)
        except (ValueError, TypeError, KeyError) as error:
            raise InvalidInput(f"initializer {tensor.name!r} cannot be read: {error}") from error
        finite = array.dtype.kind != "f" or np.isfinite(array).all()
        if not finite and (np.isnan(array).any() or not consumers.get(tensor.name, set()) <= LIMITS):
            raise InvalidInput(f"initializer {tensor.name!r} holds NaN or infinite values; finite ones are needed")
        known[tensor.name] = Known(tensor.name, array)
    return known


def _guarded(state: _Translation, node: NodeProto) -> list[tuple[str, Value | None]]:
    """The node's outputs by name; None, and an entry in the list of blockers, where it cannot be translated."""
    label = node.name or (node.output[0] if node.output else node.op_type)
    try:
        values = _outputs(state, node, label)
    except UnsupportedOperator as error:
        state.blockers.setdefault(str(error), []).append(label)
        values = ()
    except ShapeMismatch as error:
        raise ShapeMismatch(f"node {label!r} ({node.op_type}): {error}") from error
    except MALFORMED as error:
        reason = " ".join(str(error).split())[:200]
        raise InvalidInput(f"node {label!r} ({node.op_type}) is malformed: {reason}") from error
    if values and len(values) < len(node.output):
        values = (*values, *(None for _ in node.output[len(values):]))
    return list(zip(node.output, values or (None for _ in node.output), strict=False))


def _outputs(state: _Translation, node: NodeProto, label: str) -> tuple[Value | None, ...]:
    if node.domain not in ("", "ai.onnx"):
        raise UnsupportedOperator(f"{node.op_type} of domain {node.domain}: operator not supported")
    if node.op_type == "Constant":
        return (Known(node.output[0], constant_node(node)),)
    missing = [name for name in node.input if name and name not in state.values]
    if missing:
        raise InvalidInput(f"node {label!r} ({node.op_type}) reads {missing[0]!r}, which nothing before it computes")
    inputs = tuple(state.values[name] if name else None for name in node.input)
    translate_node = lookup(node.op_type, state.opset)
    behind_blocker = any(name and state.values[name] is None for name in node.input)
    present = [value for value in inputs if value is not None]
    if not behind_blocker and all(isinstance(value, Known) for value in present):
        arrays = {name: state.values[name].array for name in node.input if name}
        found = evaluate(node, arrays, state.opset)
        return tuple(Known(name, array) for name, array in zip([o for o in node.output if o], found, strict=True))
    if translate_node is None:
        raise UnsupportedOperator(f"{node.op_type}: operator not supported")
    if behind_blocker:
        return ()
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    call = Call(node.op_type, label, state.opset, inputs, tuple(node.output), attributes, state.builder)
    found = translate_node(call)
    return found if isinstance(found, tuple) else (found,)
