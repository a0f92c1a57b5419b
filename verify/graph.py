"""The network as an immutable, topologically ordered graph of primitives.

Shapes: a node's `shape` is the full ONNX shape (a leading 1 for the usual batch axis included); every value flowing
through it has one more leading axis n, the domains of the analysis. Operators carry their tensors; nothing is ever
written onto a node. Device and dtype are uniform over a graph and changed only by `Graph.to`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from verify.errors import BrokenInvariant
from verify.ops.base import Op
from verify.ops.relu import Relu
from verify.ops.source import Input

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Node:
    """One value: operator, names of the inputs, shape of the output without the domain axis.

    `roundings`: float32 roundings that an execution of the network may make per entry of this value beyond one per
    term of the sum (`verify.bounds.noise`); None where it is exact, and everywhere when the reals are meant.
    """

    name: str
    op: Op
    inputs: tuple[str, ...]
    shape: Shape
    roundings: int | None = None


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in topological order, exactly one `Input` node, one `output` name."""

    nodes: tuple[Node, ...]
    output: str
    device: torch.device = torch.device("cpu")
    dtype: torch.dtype = torch.float64

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for node in self.nodes:
            missing = [name for name in node.inputs if name not in seen]
            if missing or node.name in seen:
                raise BrokenInvariant(f"node {node.name!r} is out of order, repeated, or reads unknown {missing}")
            seen.add(node.name)
        if self.output not in seen or sum(isinstance(node.op, Input) for node in self.nodes) != 1:
            raise BrokenInvariant("a graph needs its output among its nodes and exactly one input")

    @cached_property
    def by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    def __getitem__(self, name: str) -> Node:
        return self.by_name[name]

    @cached_property
    def input(self) -> Node:
        return next(node for node in self.nodes if isinstance(node.op, Input))

    @cached_property
    def consumers(self) -> dict[str, tuple[str, ...]]:
        """Node name -> names of the nodes that read it (once per reading)."""
        found: dict[str, list[str]] = {node.name: [] for node in self.nodes}
        for node in self.nodes:
            for name in node.inputs:
                found[name].append(node.name)
        return {name: tuple(names) for name, names in found.items()}

    @cached_property
    def nonlinear(self) -> tuple[Node, ...]:
        """The nodes that need a relaxation, in topological order."""
        return tuple(node for node in self.nodes if not node.op.linear)

    def neurons(self, node: Node) -> int:
        """Entries of a nonlinear node; ReLUs that read 0 whatever the input is (pruned, grafted) are not counted."""
        silent = getattr(self[node.inputs[0]].op, "silent", None) if isinstance(node.op, Relu) else None
        return math.prod(node.shape) - (0 if silent is None else int(silent.expand(1, *node.shape).sum()))

    def input_shapes(self, node: Node) -> tuple[Shape, ...]:
        return tuple(self[name].shape for name in node.inputs)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Graph:
        """The same graph on another device or in another dtype."""
        device = torch.device(device) if device is not None else self.device
        dtype = dtype or self.dtype
        if device == self.device and dtype == self.dtype:
            return self
        nodes = tuple(replace(node, op=node.op.to(device, dtype)) for node in self.nodes)
        return Graph(nodes, self.output, device, dtype)

    def over_reals(self) -> Graph:
        """The same function with exact operators: what no rounding of an execution is charged for."""
        return replace(self, nodes=tuple(replace(node, roundings=None) for node in self.nodes))

    def values(self, x: Tensor, wanted: Iterable[str] = ()) -> dict[str, Tensor]:
        """The values of `wanted` nodes (and the output) at x (n, *input shape); others are freed on the way."""
        keep = {*wanted, self.output}
        last_use = {name: node.name for node in self.nodes for name in node.inputs}
        env: dict[str, Tensor] = {}
        for node in self.nodes:
            env[node.name] = x if isinstance(node.op, Input) else node.op.evaluate(*(env[i] for i in node.inputs))
            for name in node.inputs:
                if last_use[name] == node.name and name not in keep:
                    env.pop(name, None)
        n = x.shape[0]
        return {name: env[name].expand(n, *self[name].shape) for name in keep}

    def evaluate(self, x: Tensor) -> Tensor:
        """Network output (n, *output shape) at x (n, *input shape)."""
        return self.values(x)[self.output]

    def ancestors(self, name: str) -> frozenset[str]:
        """All nodes that `name` depends on, itself included."""
        found, stack = set(), [name]
        while stack:
            current = stack.pop()
            if current not in found:
                found.add(current)
                stack.extend(self[current].inputs)
        return frozenset(found)

    def pruned(self) -> Graph:
        """Without the nodes that the output does not depend on (the input stays)."""
        needed = self.ancestors(self.output) | {self.input.name}
        return replace(self, nodes=tuple(node for node in self.nodes if node.name in needed))
