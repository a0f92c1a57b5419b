"""The walk over ONNX nodes: fold what is known, translate the rest, collect everything that blocks.

Subgraphs and bodies of operators are walked in scopes of their own. All blockers are reported at once, so that a user
sees the whole distance to a supported network.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from onnx import GraphProto, NodeProto, helper, numpy_helper

from verify.errors import InvalidInput, ShapeMismatch, UnsupportedOperator
from verify.onnx_import import elements, ops
from verify.onnx_import.call import Builder, Call, Known, Value, Variable
from verify.onnx_import.fold import constant_node, dense, evaluate
from verify.onnx_import.function import body, has_body
from verify.onnx_import.registry import Entry, entry

OPSETS = range(8, 25)
# What array code raises on attributes and shapes that contradict the operator's definition.
MALFORMED = (ValueError, TypeError, IndexError, KeyError, AttributeError, RuntimeError, ArithmeticError)
# Constants of these may be infinite: they mean "no limit", are compared with, or stand where nothing is read.
LIMITS = frozenset({"Clip", "Min", "Max", "Where", "Pad", "Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual",
                    "IsInf", "IsNaN"})


class Blocked(Exception):
    """A value is needed that is behind a blocker, which was reported already."""


@dataclass(frozen=True)
class Untranslated:
    """An output that the importer does not give; whoever reads it is blocked."""

    reason: str


State = Value | Untranslated | None
"""What is behind a name; None: something behind a blocker."""


@dataclass(frozen=True, eq=False)
class Scope:
    """One list of nodes on its way: values by ONNX name, nodes by what blocks them."""

    opset: int
    builder: Builder = field(default_factory=Builder)
    values: ChainMap[str, State] = field(default_factory=ChainMap)
    blockers: dict[str, list[str]] = field(default_factory=dict)
    prefix: str = ""
    label: str = ""

    def run(self, nodes: Iterable[NodeProto]) -> None:
        """Translates the nodes in order."""
        for node in nodes:
            for name, value in _guarded(self, node):
                self.values[name] = value

    def inline(self, graph: GraphProto, inputs: Sequence[Value], label: str) -> tuple[Value, ...]:
        """The outputs of a subgraph at these inputs."""
        if len(inputs) != len(graph.input):
            raise InvalidInput(f"a subgraph of {len(graph.input)} inputs is given {len(inputs)}")
        scope = replace(self, values=self.values.new_child(), prefix=f"{label}/")
        scope.values.update(initialisers(graph))
        scope.values.update(zip((value.name for value in graph.input), inputs, strict=True))
        scope.run(graph.node)
        return tuple(value for _, value in scope.outputs(graph))

    def outputs(self, graph: GraphProto) -> list[tuple[str, Value]]:
        """The outputs of a graph whose nodes were walked, by name."""
        names = [value.name for value in graph.output]
        return list(zip(names, _existing(self, names), strict=True))

    def apply(
        self, op_type: str, inputs: Sequence[Value | None], attributes: dict[str, Any], name: str, outputs: int
    ) -> tuple[Value, ...]:
        """The outputs of one more operator, of the latest opset."""
        names = [f"input{k}" if value is not None else "" for k, value in enumerate(inputs)]
        results = [name, *(f"{name}:{k}" for k in range(1, outputs))]
        node = helper.make_node(op_type, names, results, **attributes)
        bound = {key: value for key, value in zip(names, _of_one_type(inputs), strict=True) if key}
        found = _outputs(replace(self, values=ChainMap(bound), opset=OPSETS[-1], prefix=""), node, self.label)
        if len(found) < outputs:
            raise Blocked
        return found


def _of_one_type(values: Sequence[Value | None]) -> Sequence[Value | None]:
    """Constants of both float types as float64: importers compose operators from their own numbers and the file's."""
    floats = {value.array.dtype for value in values if isinstance(value, Known) and value.array.dtype.kind == "f"}
    if len(floats) < 2:
        return values
    return [Known(value.name, value.array.astype(np.float64)) if isinstance(value, Known)
            and value.array.dtype in floats else value for value in values]


def _existing(scope: Scope, names: Sequence[str]) -> tuple[Value, ...]:
    missing = [name for name in names if name not in scope.values]
    if missing:
        raise InvalidInput(f"no node computes {missing[0]!r}")
    found = [scope.values[name] for name in names]
    if any(value is None for value in found):
        raise Blocked
    for value in found:
        if isinstance(value, Untranslated):
            raise UnsupportedOperator(value.reason)
    return tuple(found)


def initialisers(graph: GraphProto) -> dict[str, Known]:
    """The constants of a graph; NaN, and infinity where it has no meaning, are refused by name."""
    consumers: dict[str, set[str]] = {}
    for node in graph.node:
        for name in node.input:
            consumers.setdefault(name, set()).add(node.op_type)
    known = {}
    for tensor in graph.initializer:
        try:
            array = numpy_helper.to_array(tensor)
        except (ValueError, TypeError, KeyError) as error:
            raise InvalidInput(f"initializer {tensor.name!r} cannot be read: {error}") from error
        known[tensor.name] = Known(tensor.name, array)
    for tensor in graph.sparse_initializer:
        known[tensor.values.name] = Known(tensor.values.name, dense(tensor))
    for name, value in known.items():
        array = value.array
        finite = array.dtype.kind != "f" or np.isfinite(array).all()
        if not finite and (np.isnan(array).any() or not consumers.get(name, set()) <= LIMITS):
            raise InvalidInput(f"initializer {name!r} holds NaN or infinite values; finite ones are needed")
    return known


def _guarded(scope: Scope, node: NodeProto) -> list[tuple[str, State]]:
    """The node's outputs by name; None, and an entry in the list of blockers, where it cannot be translated."""
    label = scope.prefix + (node.name or (node.output[0] if node.output else node.op_type))
    values: tuple[State, ...] = ()
    try:
        values = _outputs(scope, node, label)
    except Blocked:
        pass
    except UnsupportedOperator as error:
        reason = str(error) if str(error).startswith(node.op_type) else f"{node.op_type}: needs {error}"
        scope.blockers.setdefault(reason, []).append(label)
    except ShapeMismatch as error:
        raise ShapeMismatch(f"node {label!r} ({node.op_type}): {error}") from error
    except MALFORMED as error:
        reason = " ".join(str(error).split())[:200]
        raise InvalidInput(f"node {label!r} ({node.op_type}) is malformed: {reason}") from error
    if values and len(values) < len(node.output):
        more = Untranslated(f"{node.op_type}: only its first {len(values)} outputs are translated")
        values = (*values, *(more for _ in node.output[len(values):]))
    return list(zip(node.output, values or (None for _ in node.output), strict=False))


def _outputs(scope: Scope, node: NodeProto, label: str) -> tuple[Value | None, ...]:
    if node.domain not in ("", "ai.onnx"):
        raise UnsupportedOperator(f"{node.op_type} of domain {node.domain}: operator not supported")
    if node.op_type == "Constant":
        return (Known(node.output[0], constant_node(node)),)
    missing = [name for name in node.input if name and name not in scope.values]
    if missing:
        raise InvalidInput(f"node {label!r} ({node.op_type}) reads {missing[0]!r}, which nothing before it computes")
    found = entry(node.op_type, scope.opset)
    behind_blocker = any(name and scope.values[name] is None for name in node.input)
    inputs = tuple(scope.values[name] if name else None for name in node.input)
    for value in inputs:
        if isinstance(value, Untranslated):
            raise UnsupportedOperator(value.reason)
    known = not behind_blocker and all(isinstance(value, Known) for value in inputs if value is not None)
    if known and (found is None or found.folds):
        arrays = {name: scope.values[name].array for name in node.input if name}
        results = evaluate(node, arrays, scope.opset)
        return tuple(Known(name, array) for name, array in zip([o for o in node.output if o], results, strict=True))
    reason = ops.REFUSED.get(node.op_type)
    if reason is not None and found is None:
        raise UnsupportedOperator(f"{node.op_type}: {reason}")
    if behind_blocker:
        return _unless_unknown(scope, node, found)
    if found is None:
        return _expanded(scope, node, inputs, label)
    _check_elements(node, inputs, found)
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    outputs = tuple(scope.prefix + name if name else "" for name in node.output)
    call = Call(node.op_type, label, scope.opset, inputs, outputs, attributes, scope.builder,
                replace(scope, label=label))
    results = found.function(call)
    return _typed(scope, node, inputs, results if isinstance(results, tuple) else (results,))


def _unless_unknown(scope: Scope, node: NodeProto, found: Entry | None) -> tuple[()]:
    """A node behind a blocker has no values, and is a blocker itself where nothing is known about its operator."""
    if found is None and not has_body(node.op_type, scope.opset):
        raise UnsupportedOperator(f"{node.op_type}: operator not supported")
    return ()


def _expanded(scope: Scope, node: NodeProto, inputs: Sequence[Value | None], label: str) -> tuple[Value | None, ...]:
    """The outputs of an operator that ONNX defines by others."""
    found = body(node, scope.opset, inputs)
    if found is None:
        raise UnsupportedOperator(f"{node.op_type}: operator not supported")
    bound = {name: value for name, value in zip(found.inputs, inputs, strict=False) if value is not None}
    inner = replace(scope, values=ChainMap(bound), opset=found.opset, prefix=f"{label}/", blockers={})
    inner.run(found.nodes)
    if inner.blockers:
        raise UnsupportedOperator(f"{node.op_type}: its definition needs {', '.join(inner.blockers)}")
    wanted = [formal for formal, name in zip(found.outputs, node.output, strict=False) if name]
    found_values = iter(_existing(inner, wanted))
    return _typed(scope, node, inputs, tuple(next(found_values) if name else None for name in node.output))


def _check_elements(node: NodeProto, inputs: Sequence[Value | None], found: Entry) -> None:
    """Variables of a type that the importer does not expect are refused: it would compute with real numbers."""
    for k, value in enumerate(inputs):
        if isinstance(value, Variable) and not elements.allowed(value.element, found.accepts):
            raise UnsupportedOperator(
                f"{node.op_type}: its input {k} holds {elements.name(value.element)} that depends on the network "
                f"input; float would be accepted"
            )


def _typed(
    scope: Scope, node: NodeProto, inputs: Sequence[Value | None], results: tuple[Value | None, ...]
) -> tuple[Value | None, ...]:
    """The results with the element types that ONNX gives them."""
    given = []
    for value in inputs:
        array = isinstance(value, Known)
        given.append(helper.np_dtype_to_tensor_dtype(value.array.dtype) if array else value and value.element)
    found = []
    for value, element in zip(results, elements.computed_in(node, scope.opset, given), strict=False):
        if isinstance(value, Variable) and element is not None:
            if element not in (elements.BOOL, *elements.FLOATS, *elements.INTEGERS, *elements.NARROW):
                raise UnsupportedOperator(
                    f"{node.op_type}: it computes in {elements.name(element)}; float and double would be accepted"
                )
            value = replace(value, element=element)
        found.append(value)
    return tuple(found)
