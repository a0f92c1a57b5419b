"""One ONNX node on its way to steps: its inputs, its attributes, and what of them was read.

Values are `Var`, which depend on the network input, or numpy arrays, which do not.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np

from verify.certificate.checker.errors import require
from verify.certificate.checker.onnx_reader import Node
from verify.certificate.checker.ops import Op, Scale, Take

ARITHMETIC = MappingProxyType({"Add": operator.add, "Sub": operator.sub, "Mul": operator.mul, "Div": operator.truediv})


@dataclass(frozen=True, eq=False)
class Step:
    """One value of full ONNX shape `shape`: `op` applied to the values of the steps `inputs`."""

    name: str
    op: Op
    inputs: tuple[int, ...]
    shape: tuple[int, ...]


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
        self.require(not missing, f"reads {', '.join(map(repr, missing))}, which nothing before it computes")
        self.inputs = [values[name] if name else None for name in node.inputs]
        self.unread = {f"input {k}" for k, name in enumerate(node.inputs) if name}
        self.unread |= {f"attribute {name}" for name in node.attributes}

    def require(self, condition: object, otherwise: str) -> None:
        require(condition, f"node {self.node.name!r} ({self.node.op_type}, opset {self.opset}): {otherwise}")

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute of the type of its default."""
        self.unread.discard(f"attribute {name}")
        value = self.node.attributes.get(name, default)
        self.require(default is None or type(value) is type(default), f"attribute {name} is of another type")
        return value

    def value(self, k: int) -> Value | None:
        """Input k, None where it was left out."""
        self.unread.discard(f"input {k}")
        return self.inputs[k] if k < len(self.inputs) else None

    def known(self, k: int) -> np.ndarray:
        value = self.value(k)
        self.require(isinstance(value, np.ndarray), f"input {k} is missing, or depends on the network input")
        return value

    def weight(self, k: int) -> np.ndarray:
        """Input k as float64; its type must be the network's, in which the operator is executed."""
        array = self.known(k)
        self.require(array.dtype == self.dtype, f"input {k} is of type {array.dtype}, the network of {self.dtype}")
        return array.astype(np.float64)

    def number(self, k: int, default: float) -> float:
        """Input k as one number, `default` where it was left out."""
        return default if self.value(k) is None else float(self.known(k).reshape(()))

    def numbers(self, name: str, k: int, since: int) -> list[int] | None:
        """Integers that are attribute `name` before opset `since` and input k from then on."""
        if self.opset < since:
            found = self.attribute(name)
        else:
            found = None if self.value(k) is None else self.known(k).reshape(-1).tolist()
        return None if found is None else [operator.index(value) for value in found]

    def var(self, k: int) -> Var:
        """Input k; a constant becomes a step, if the node depends on the network input at all."""
        value = self.value(k)
        self.require(value is not None and any(isinstance(other, Var) for other in self.inputs),
                     f"input {k} is missing, or the operator is not supported on constants")
        if isinstance(value, Var):
            return value
        return self.take(np.arange(-value.size, 0).reshape(value.shape), fill=self.weight(k).reshape(-1))

    def add(self, op: Op, shape: Sequence[int], *inputs: Var) -> Var:
        constants = [a for a in vars(op).values() if isinstance(a, np.ndarray)]
        self.require(all(np.isfinite(a).all() for a in constants) and shape and 0 not in shape,
                     f"NaN or infinite constants, or a result of shape {list(shape)}")
        self.steps.append(Step(self.node.name, op, tuple(x.step for x in inputs), tuple(map(int, shape))))
        return Var(len(self.steps) - 1, self.steps[-1].shape)

    def take(self, index: np.ndarray, *inputs: Var, fill: np.ndarray | None = None) -> Var:
        same = len(inputs) == 1 and index.shape == inputs[0].shape and (index == inputs[0].index).all()
        return inputs[0] if same else self.add(Take(index, fill), index.shape, *inputs)

    def move(self, x: Value, how: Callable[[np.ndarray], np.ndarray]) -> Value:
        """Moves the entries of x as `how` moves those of an array."""
        return np.asarray(how(x)) if isinstance(x, np.ndarray) else self.take(how(x.index), x)

    def scale(self, x: Var, scale=1.0, shift=0.0, *, error=0.0, roundings: int | None = 1) -> Var:
        """scale x + shift with numpy broadcasting; the scale is off by at most `error`."""
        parts = [np.asarray(part, np.float64) for part in (scale, shift, error)]
        shape = np.broadcast_shapes(x.shape, *(part.shape for part in parts))
        x = self.move(x, lambda index: np.broadcast_to(index, shape))
        return self.add(Scale(*(np.broadcast_to(part, shape) for part in parts), roundings), shape, x)

    def fold(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Arithmetic on constants, integers dividing towards zero; rejected where the result would be rounded."""
        lift = np.vectorize(Fraction, otypes=[object])
        exact = np.asarray(ARITHMETIC[self.node.op_type](lift(a.astype(object)), lift(b.astype(object))), object)
        exact = np.vectorize(int, otypes=[object])(exact) if a.dtype.kind == "i" else exact
        found = exact.astype(a.dtype)
        self.require(a.dtype == b.dtype and (lift(found.astype(object)) == exact).all(), "rounds constants")
        return found
