"""What the translators of `verify.live_ops` get and give: a call in the trace, the tensors of the moment, a step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from verify.errors import UnsupportedOperator
from verify.ops import Op

Shape = tuple[int, ...]


class Values:
    """The tensors that one graph is made of: parameters and buffers as they are now, and what is computed from them."""

    def __init__(self, module: nn.Module, device: torch.device, dtype: torch.dtype, detach: bool,
                 statistics: Mapping[str, tuple[Tensor, Tensor]], stop_scales: bool) -> None:
        self.module, self.device, self.dtype = module, device, dtype
        self.detach, self.statistics, self.stop_scales = detach, statistics, stop_scales
        self.env: dict[fx.Node, Any] = {}

    def tensor(self, value: Tensor | float) -> Tensor:
        """A parameter or number in the graph's dtype."""
        if not isinstance(value, Tensor):
            return torch.tensor(value, device=self.device, dtype=self.dtype)
        value = value.detach() if self.detach else value
        return value.to(self.dtype) if value.dtype != self.dtype else value

    def evaluate(self, nodes: Iterable[fx.Node], static: Mapping[fx.Node, Any]) -> None:
        """Computes the nodes that do not depend on the input, in order."""
        self.env.update(static)
        for node in nodes:
            self.env[node] = self._value(node)

    def _value(self, node: fx.Node) -> Any:
        if node.op == "get_attr":
            value: Any = self.module
            for part in node.target.split("."):
                value = getattr(value, part)
            return self.tensor(value) if isinstance(value, Tensor) and value.is_floating_point() else value
        args, kwargs = fx.node.map_arg((node.args, dict(node.kwargs)), self.env.__getitem__)
        if node.op == "call_module":
            return self.module.get_submodule(node.target)(*args, **kwargs)
        if node.op == "call_method":
            return getattr(args[0], node.target)(*args[1:], **kwargs)
        return node.target(*args, **kwargs)

    def constant(self, arg: Any) -> Tensor:
        """An argument that does not depend on the input, as a tensor."""
        return self.tensor(self.env[arg] if isinstance(arg, fx.Node) else arg)


Make = Callable[[Values], Op]


@dataclass(frozen=True, eq=False)
class Step:
    """One operator of every graph: how it is made, what it reads, its output shape with the batch axis of 1.
    `module`, `target`: the layer it comes from, and its name, where it is one layer's call; `kind`: type of the op."""

    make: Make
    inputs: tuple[str, ...]
    shape: Shape
    kind: type[Op]
    module: nn.Module | None
    target: str | None


@dataclass(frozen=True)
class Call:
    """What a translator sees of one call: its node, its layer, and, among its arguments, the values by name."""

    node: fx.Node
    module: nn.Module | None
    names: Mapping[fx.Node, str]
    shapes: Mapping[str, Shape]
    values: Values

    @property
    def what(self) -> str:
        """How messages call it."""
        if self.module is not None:
            return f"layer {self.node.target!r} ({type(self.module).__name__})"
        name = self.node.target if isinstance(self.node.target, str) else getattr(self.node.target, "__name__", "?")
        return f"operation {self.node.name!r} ({name})"

    def refuse(self, why: str) -> UnsupportedOperator:
        return UnsupportedOperator(f"{self.what}: {why}")

    def depends(self, arg: Any) -> bool:
        return isinstance(arg, fx.Node) and arg in self.names

    def arg(self, position: int, name: str, default: Any = None) -> Any:
        """An argument, by position or name; what does not depend on the input, as its present value."""
        args, kwargs = self.node.args, self.node.kwargs
        found = args[position] if len(args) > position else kwargs.get(name, default)
        known = self.values.env
        return fx.node.map_arg(found, lambda node: known.get(node, node))

    def shape(self, arg: Any) -> Shape:
        return self.shapes[self.names[arg]]

    @property
    def given(self) -> Shape:
        """Shape of the first argument."""
        return self.shape(self.node.args[0])
