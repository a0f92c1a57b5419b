"""ONNX model -> graph of primitives: inputs and outputs around the walk over the nodes (`verify.onnx_import.walk`)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import onnx
import torch
from onnx import ModelProto, ValueInfoProto

from verify.errors import InvalidInput, UnsupportedOperator
from verify.graph import Graph
from verify.onnx_import import elements
from verify.onnx_import.call import Builder, Value, Variable
from verify.onnx_import.part import Port, joint_shape, slices
from verify.onnx_import.walk import OPSETS, Scope, initialisers
from verify.ops import Concat, Constant, Gather, Input, Reshape

FLOATS = MappingProxyType({onnx.TensorProto.FLOAT: False, onnx.TensorProto.DOUBLE: True})


@dataclass(frozen=True, eq=False)
class Translated:
    """The graph, and what its input and output stand for (`verify.onnx_import.part`)."""

    graph: Graph
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


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
    known |= {tensor.values.name for tensor in model.graph.sparse_initializer}
    inputs = [value for value in model.graph.input if value.name not in known]
    if not inputs:
        raise UnsupportedOperator("the network has no input; one or more float tensors would be accepted")
    return inputs


def input_shape(value: ValueInfoProto) -> tuple[int, ...]:
    """The static shape; a dynamic first (batch) dimension becomes 1."""
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type") or tensor.elem_type not in FLOATS:
        held = value.type.WhichOneof("value")
        kind = elements.name(tensor.elem_type) if held == "tensor_type" else held
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
    state = Scope(opset_of(model))
    inputs = _ports(real_inputs(model))
    state.values.update(initialisers(model.graph))
    state.values.update(_entries(state.builder, inputs))
    state.run(model.graph.node)
    if state.blockers:
        raise _refusal(state)
    if not model.graph.output:
        raise InvalidInput("the network has no output")
    found = [_output(state, name, value) for name, value in state.outputs(model.graph)]
    output = _joint(state.builder, found)
    graph = Graph(tuple(state.builder.nodes), output.name).pruned()
    outputs = tuple(
        Port(value.name, variable.shape, value.type.tensor_type.elem_type == onnx.TensorProto.DOUBLE)
        for value, variable in zip(model.graph.output, found, strict=True)
    )
    return Translated(graph, inputs, outputs)


def _ports(values: list[ValueInfoProto]) -> tuple[Port, ...]:
    """The inputs; all that cannot be one are refused at once."""
    ports, wrong = [], []
    for value in values:
        try:
            ports.append(Port(value.name, input_shape(value), FLOATS[value.type.tensor_type.elem_type]))
        except UnsupportedOperator as error:
            wrong.append(str(error))
    if wrong:
        raise UnsupportedOperator("; ".join(wrong))
    return tuple(ports)


def _entries(builder: Builder, inputs: tuple[Port, ...]) -> dict[str, Variable]:
    """The inputs as values: the graph's only input, or parts of it."""
    if len(inputs) == 1:
        found = [builder.add(inputs[0].name, Input(inputs[0].shape))]
    else:
        joint = builder.add("inputs", Input(joint_shape(inputs)))
        index = torch.arange(joint.size)
        found = [builder.add(port.name, Gather(index[where].reshape(port.shape)), joint)
                 for port, where in zip(inputs, slices(inputs), strict=True)]
    types = {False: onnx.TensorProto.FLOAT, True: onnx.TensorProto.DOUBLE}
    return {port.name: replace(value, element=types[port.double]) for port, value in zip(inputs, found, strict=True)}


def _output(state: Scope, name: str, value: Value) -> Variable:
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


def _refusal(state: Scope) -> UnsupportedOperator:
    """All blockers in one line, alike ones together."""
    parts, count = [], 0
    for reason, labels in state.blockers.items():
        nodes = list(dict.fromkeys(labels))
        count += len(nodes)
        more = f" and {len(nodes) - 3} more" if len(nodes) > 3 else ""
        parts.append(f"{reason} (node {', '.join(repr(name) for name in nodes[:3])}{more})")
    return UnsupportedOperator(
        f"{count} node{'s' * (count > 1)} of opset {state.opset} cannot be translated: {'; '.join(parts)}. "
        "docs/operators.md lists what is supported"
    )
