"""One ONNX node on its way to primitives: its resolved inputs and attributes, and the place where primitives are added.

A value is either `Variable` (depends on the network input, a node of the graph under construction) or `Known` (does
not, a numpy array in its ONNX dtype). Shapes are full ONNX shapes, the batch axis of size 1 included.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from onnx import GraphProto, TensorProto, helper
from torch import Tensor

from verify.errors import InvalidInput, UnsupportedOperator
from verify.graph import Node
from verify.ops import Concat, Constant, Gather, Op, Relu, Reshape, Transpose

EXACT = (Concat, Gather, Relu, Reshape, Transpose)
"""What rounds nowhere in a floating-point execution."""


@dataclass(frozen=True)
class Variable:
    """A value that depends on the network input: the name and shape of its node, and the element type that the file
    gives it (integers and booleans are numbers of the graph like all others)."""

    name: str
    shape: tuple[int, ...]
    element: int = TensorProto.FLOAT

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True, eq=False)
class Known:
    """A value that does not depend on the network input."""

    name: str
    array: np.ndarray


Value = Variable | Known


class Inner(Protocol):
    """What the walk over the nodes lends to importers: translating other nodes within this one."""

    def inline(self, graph: GraphProto, inputs: Sequence[Value], label: str) -> tuple[Value, ...]:
        """The outputs of a subgraph, which may read the values around the node."""

    def apply(self, op_type: str, inputs: Sequence[Value | None], attributes: dict[str, Any], name: str,
              outputs: int) -> tuple[Value, ...]:
        """The outputs of one more operator (of the latest opset)."""


class Builder:
    """The nodes added so far, under unique names. Lives for one import."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._uses: dict[str, int] = {}

    def unique(self, wanted: str) -> str:
        """`wanted` itself when it is free, else with a running number."""
        # The query appends nodes named "spec:..." to the imported graph.
        wanted = f"onnx:{wanted}" if wanted.startswith("spec:") else wanted
        name = wanted
        while name in self._shapes:
            self._uses[wanted] = self._uses.get(wanted, 1) + 1
            name = f"{wanted}~{self._uses[wanted]}"
        return name

    def add(self, name: str, op: Op, *inputs: Variable, roundings: int | None = None) -> Variable:
        """Appends a primitive; its shape rule checks the inputs. The element type is that of the first input."""
        shape = tuple(op.output_shape(*(v.shape for v in inputs)))
        name = self.unique(name)
        self.nodes.append(Node(name, op, tuple(v.name for v in inputs), shape, roundings))
        self._shapes[name] = shape
        return Variable(name, shape, inputs[0].element if inputs else TensorProto.FLOAT)


@dataclass(frozen=True, eq=False)
class Call:
    """One ONNX node: `inputs` are resolved (None where left out), `outputs` are the names it defines."""

    op_type: str
    name: str
    opset: int
    inputs: tuple[Value | None, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    builder: Builder = field(repr=False)
    inner: Inner | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"node {self.name!r} ({self.op_type}, opset {self.opset})"

    def refuse(self, reason: str) -> UnsupportedOperator:
        """The error for a use of the operator that is not translated."""
        return UnsupportedOperator(f"{self.op_type}: {reason}")

    def attribute(self, name: str, default: Any = None) -> Any:
        return self.attributes.get(name, default)

    def text(self, name: str, default: str) -> str:
        value = self.attributes.get(name, default)
        return value.decode() if isinstance(value, bytes) else value

    def has(self, index: int) -> bool:
        return index < len(self.inputs) and self.inputs[index] is not None

    def value(self, index: int) -> Value:
        if not self.has(index):
            raise InvalidInput(f"{self}: input {index} is missing")
        return self.inputs[index]

    def variable(self, index: int) -> Variable:
        """Input `index` as a node of the graph (a known value becomes a `Constant`)."""
        return self.as_variable(self.value(index))

    def as_variable(self, value: Value) -> Variable:
        if isinstance(value, Variable):
            return value
        return self.add(Constant(self.tensor(value.array, value.name)))

    def known(self, index: int, role: str) -> np.ndarray:
        """Input `index`, refused when it depends on the network input."""
        value = self.value(index)
        if isinstance(value, Variable):
            raise self.refuse(f"its {role} depends on the network input; a constant {role} would be accepted")
        return value.array

    def integers(self, index: int, role: str) -> list[int]:
        """Input `index` as a list of integers; a missing optional input is an empty list."""
        return [int(v) for v in self.known(index, role).reshape(-1)] if self.has(index) else []

    def weight(self, index: int, role: str) -> Tensor:
        """Input `index` as a finite float64 tensor."""
        return self.tensor(self.known(index, role), self.value(index).name)

    def tensor(self, array: Any, name: str = "") -> Tensor:
        """A float64 tensor; NaN and infinity are refused by name."""
        array = np.array(array, dtype=np.float64)
        if not np.isfinite(array).all():
            what = f"the constant {name!r}" if name else "a constant of it"
            raise InvalidInput(f"{self}: {what} holds NaN or infinite values; finite numbers would be accepted")
        return torch.from_numpy(array)

    def axis(self, axis: int, rank: int) -> int:
        """A possibly negative axis as a non-negative one."""
        if not -rank <= axis < rank:
            raise InvalidInput(f"{self}: axis {axis} does not exist in a value of rank {rank}")
        return axis % rank

    def apply(self, op_type: str, *inputs: Value | None, **attributes: Any) -> Value:
        """What the ONNX operator `op_type` of the latest opset makes of these values: composition in ONNX's words.
        Known values are folded."""
        return self.inner.apply(op_type, inputs, attributes, self.outputs[0], 1)[0]

    def constant(self, array: Any) -> Known:
        """A known value of this node's making."""
        return Known(self.outputs[0], np.asarray(array))

    def element(self, index: int) -> int:
        """The ONNX element type of input `index`."""
        value = self.value(index)
        if isinstance(value, Variable):
            return value.element
        return helper.np_dtype_to_tensor_dtype(value.array.dtype)

    def add(self, op: Op, *inputs: Variable, roundings: int | None = 0) -> Variable:
        """Appends a primitive, named after the first output of the ONNX node. `roundings` as in `Node`: None for the
        parts of an operator that is exact as a whole, such as the sums inside of a maximum."""
        kept = None if isinstance(op, EXACT) else roundings
        return self.builder.add(self.outputs[0], op, *inputs, roundings=kept)

    def reshape(self, x: Variable, shape: tuple[int, ...]) -> Variable:
        return x if x.shape == tuple(shape) else self.add(Reshape(tuple(int(s) for s in shape)), x)

    def gather(self, x: Variable, indices: np.ndarray, fill: float = 0.0) -> Variable:
        """Output entry k is the flat entry indices[k] of x, or `fill` where that is -1."""
        if indices.size == x.size and np.array_equal(indices.reshape(-1), np.arange(x.size)):
            return self.reshape(x, indices.shape)
        if 0 in indices.shape:
            raise self.refuse(f"its output of shape {list(indices.shape)} is empty")
        # A copy: index arithmetic hands over views with negative strides.
        return self.add(Gather(torch.from_numpy(np.array(indices, dtype=np.int64)), float(fill)), x)

    def rearrange(self, x: Variable, how: Callable[[np.ndarray], np.ndarray], fill: float = 0.0) -> Variable:
        """Moves entries as `how` moves those of an array of flat indices (Slice, Expand, Pad with -1, ...)."""
        return self.gather(x, how(np.arange(x.size).reshape(x.shape)), fill)

    def expand(self, x: Variable, shape: tuple[int, ...]) -> Variable:
        """Numpy broadcasting of x to `shape`."""
        return x if x.shape == tuple(shape) else self.rearrange(x, lambda index: np.broadcast_to(index, shape))
