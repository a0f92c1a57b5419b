"""The declared graph of an ONNX file as a list of steps (`ops`): affine, relu, sigmoid or tanh. Nothing is simplified.

Values are `Var`, which depend on the network input, or numpy arrays, which do not; moves of arrays and exact arithmetic
on them are done here, anything that would round is rejected. Whatever a node has that its translation did not read,
an attribute or an input, is rejected, too.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from verify.certificate.checker.errors import Rejected
from verify.certificate.checker.onnx_reader import Node, read_model
from verify.certificate.checker.ops import Constant, Input, Op, Relu, Scale, Smooth, Take

OPSETS = range(8, 25)
# What numpy raises on attributes and shapes that contradict the operator's definition.
MALFORMED = (ValueError, TypeError, IndexError, KeyError, AttributeError, ArithmeticError, MemoryError)
ARITHMETIC = (("Add", operator.add), ("Sub", operator.sub), ("Mul", operator.mul), ("Div", operator.truediv))


@dataclass(frozen=True, eq=False)
class Step:
    """One value of full ONNX shape `shape`: `op` applied to the values of the steps `inputs`."""

    name: str
    op: Op
    inputs: tuple[int, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Network:
    """Steps in topological order: the first is the input, the last the output, all are needed. `dtype` of the file."""

    steps: tuple[Step, ...]
    dtype: str
    opset: int

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.steps[0].shape

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.steps[-1].shape

    @cached_property
    def nonlinear(self) -> tuple[int, ...]:
        """The nonlinear steps, which proofs count in this order."""
        return tuple(k for k, step in enumerate(self.steps) if isinstance(step.op, (Relu, Smooth)))


@dataclass(frozen=True)
class Var:
    """The value of step `step`."""

    step: int
    shape: tuple[int, ...]

    @property
    def index(self) -> np.ndarray:
        """The flat position of every entry, in the value's shape."""
        return np.arange(math.prod(self.shape)).reshape(self.shape)


Value = Var | np.ndarray


class Call:
    """One node on its way to steps, which it appends to `steps`; it remembers what of the node was read."""

    def __init__(self, node: Node, values: dict[str, Value], steps: list[Step], opset: int, dtype: str):
        self.node, self.steps, self.opset, self.dtype = node, steps, opset, dtype
        missing = [name for name in node.inputs if name and name not in values]
        if missing:
            raise self.refuse(f"reads {missing[0]!r}, which nothing before it computes")
        self.inputs = [values[name] if name else None for name in node.inputs]
        self.unread = {f"input {k}" for k, name in enumerate(node.inputs) if name}
        self.unread |= {f"attribute {name}" for name in node.attributes}

    def refuse(self, reason: str) -> Rejected:
        return Rejected(f"node {self.node.name!r} ({self.node.op_type}, opset {self.opset}): {reason}")

    def attribute(self, name: str, default: Any = None) -> Any:
        self.unread.discard(f"attribute {name}")
        return self.node.attributes.get(name, default)

    def value(self, k: int) -> Value | None:
        """Input k, None where it was left out."""
        self.unread.discard(f"input {k}")
        return self.inputs[k] if k < len(self.inputs) else None

    def known(self, k: int) -> np.ndarray:
        value = self.value(k)
        if not isinstance(value, np.ndarray):
            raise self.refuse(f"input {k} is missing or depends on the network input; a constant would be accepted")
        return value

    def weight(self, k: int) -> np.ndarray:
        """Input k as float64; its type must be the network's, in which the operator is executed."""
        array = self.known(k)
        if array.dtype != self.dtype:
            raise self.refuse(f"input {k} is of type {array.dtype}, the network of type {self.dtype}")
        return array.astype(np.float64)

    def numbers(self, name: str, k: int, since: int) -> list[int] | None:
        """Integers that are attribute `name` before opset `since` and input k from then on."""
        if self.opset < since:
            return self.attribute(name)
        return None if self.value(k) is None else [int(v) for v in self.known(k).reshape(-1)]

    def var(self, k: int) -> Var:
        value = self.value(k)
        if isinstance(value, np.ndarray):
            return self.add(Constant(self.weight(k)), value.shape)
        if value is None:
            raise self.refuse(f"input {k} is missing")
        return value

    def add(self, op: Op, shape: Sequence[int], *inputs: Var) -> Var:
        constants = [a for a in vars(op).values() if isinstance(a, np.ndarray)]
        if not all(np.isfinite(a).all() for a in constants) or 0 in shape or not shape:
            raise self.refuse(f"NaN or infinite constants, or a result of shape {list(shape)}")
        self.steps.append(Step(self.node.name, op, tuple(x.step for x in inputs), tuple(map(int, shape))))
        return Var(len(self.steps) - 1, self.steps[-1].shape)

    def take(self, index: np.ndarray, *inputs: Var) -> Var:
        same = len(inputs) == 1 and index.shape == inputs[0].shape and (index == inputs[0].index).all()
        return inputs[0] if same else self.add(Take(index), index.shape, *inputs)

    def move(self, x: Value, how: Callable[[np.ndarray], np.ndarray]) -> Value:
        """Moves the entries of x as `how` moves those of an array."""
        return how(x) if isinstance(x, np.ndarray) else self.take(how(x.index), x)

    def scale(self, x: Var, scale=None, shift=None, *, error=None, shift_error=None, roundings: int | None = 1) -> Var:
        """scale x + shift with numpy broadcasting; None is 1 and 0."""
        parts = [None if p is None else np.asarray(p, np.float64) for p in (scale, shift, error, shift_error)]
        shape = np.broadcast_shapes(x.shape, *(p.shape for p in parts if p is not None))
        x = self.move(x, lambda index: np.broadcast_to(index, shape))
        parts = [None if p is None else np.broadcast_to(p, shape) for p in parts]
        return self.add(Scale(*parts, roundings), shape, x)

    def fold(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Arithmetic on constants, integers dividing towards zero; rejected where the result would be rounded."""
        lift = np.vectorize(Fraction, otypes=[object])
        exact = np.asarray(dict(ARITHMETIC)[self.node.op_type](lift(a.astype(object)), lift(b.astype(object))), object)
        whole = a.dtype.kind == "i"
        result = (np.vectorize(int, otypes=[object])(exact) if whole else exact).astype(a.dtype)
        if a.dtype != b.dtype or not (whole or (lift(result.astype(object)) == exact).all()):
            raise self.refuse("arithmetic on constants rounds; exact results would be accepted")
        return result


def load_network(data: bytes) -> Network:
    """The network of an ONNX file's (decompressed) bytes; `Rejected` names the node that is not understood."""
    from verify.certificate.checker.operators import FOLDED, OPERATORS

    model = read_model(data)
    inputs = [entry for entry in model.inputs if entry[0] not in model.constants]
    if model.opset not in OPSETS or len(inputs) != 1 or len(model.outputs) != 1:
        raise Rejected(f"opset {model.opset}, {len(inputs)} inputs, {len(model.outputs)} outputs; one input and "
                       f"output and opsets {OPSETS[0]} to {OPSETS[-1]} are supported")
    (source, kind, sizes), target = inputs[0], model.outputs[0][0]
    if kind not in ("<f4", "<f8") or sizes is None or 0 in sizes[1:]:
        raise Rejected(f"input {source!r} is no float or double tensor of fixed sizes (the first may be open)")
    shape, dtype = tuple(size or 1 for size in sizes), np.dtype(kind).name
    steps, values = [Step(source, Input(), (), shape)], {**model.constants, source: Var(0, shape)}
    for node in model.nodes:
        call = Call(node, values, steps, model.opset, dtype)
        if node.op_type not in OPERATORS or (call.inputs and node.op_type not in FOLDED and not any(
                isinstance(value, Var) for value in call.inputs)):
            raise call.refuse("the operator is not supported" + " on constants" * (node.op_type in OPERATORS))
        try:
            found = OPERATORS[node.op_type](call)
        except MALFORMED as error:
            raise call.refuse(f"malformed ({' '.join(str(error).split())[:200]})") from error
        named = dict(zip(node.outputs, found if isinstance(found, tuple) else (found,), strict=False))
        if call.unread or named.keys() & values.keys():
            raise call.refuse(f"{sorted(call.unread)} not understood, or an output that is already there")
        values.update(named)
    if target not in values:
        raise Rejected(f"no node computes the output {target!r}")
    if isinstance(values[target], np.ndarray):
        raise Rejected(f"the output {target!r} does not depend on the input")
    return Network(_needed(steps, values[target].step), dtype, model.opset)


def _needed(steps: list[Step], last: int) -> tuple[Step, ...]:
    """The input and what step `last` depends on, renumbered."""
    keep = {0, last}
    for k in range(last, 0, -1):
        keep |= set(steps[k].inputs) if k in keep else set()
    place = {k: new for new, k in enumerate(sorted(keep))}
    return tuple(Step(s.name, s.op, tuple(place[i] for i in s.inputs), s.shape) for s in (steps[k] for k in place))
