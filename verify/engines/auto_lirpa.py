"""Engine `auto-lirpa`: the bounds of another implementation (auto_LiRPA, Xu et al. 2020) on our rows, for comparison.

IBP, CROWN and alpha-CROWN lower bounds of the property's rows are computed by auto_LiRPA >= 0.6 on a torch module that
evaluates our graph. Not sound in our sense: its bounds are those of real-number formulas evaluated in floating point
without a charge for rounding, so a positive one is not a proof. The engine therefore never answers `verified`; it
returns `unknown` with the bound in `detail` and `best_bound`. The package index only has 0.3, which cannot run on
today's Python; the current release is in the public repository github.com/Verified-Intelligence/auto_LiRPA.
"""

from __future__ import annotations

import importlib
import math
from functools import singledispatchmethod
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from verify.budget import Budget
from verify.engines.base import Settings, closed_disjuncts
from verify.errors import InvalidInput, UnsupportedOperator
from verify.graph import Graph, Node
from verify.ops import (
    Add,
    Affine,
    Concat,
    Constant,
    Conv,
    ConvTranspose,
    Curve,
    Gather,
    Input,
    Linear,
    Op,
    Product,
    Relu,
    Reshape,
    Sum,
    Transpose,
)
from verify.query import Query
from verify.result import Reason, Result, Stats

METHODS = ("IBP", "CROWN", "CROWN-Optimized")
OLDEST = (0, 6)
WHERE = "auto_LiRPA 0.6 or newer is needed; it is in its repository github.com/Verified-Intelligence/auto_LiRPA " \
        "(the 0.3 of the package index cannot run on this Python)"


def load() -> ModuleType:
    """The package auto_LiRPA; raises `InvalidInput` saying where a recent enough one is."""
    try:
        package = importlib.import_module("auto_LiRPA")
    except (ImportError, AttributeError, SyntaxError) as error:
        raise InvalidInput(f"method 'auto-lirpa' cannot run: {WHERE} ({error})") from error
    version = str(getattr(package, "__version__", "0"))
    found = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if found < OLDEST:
        raise InvalidInput(f"method 'auto-lirpa' cannot run with version {version}: {WHERE}")
    return package


class GraphModule(nn.Module):
    """Our graph as plain torch layers: (n, *input shape) -> (n, *output shape); constants are buffers."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        for k, node in enumerate(graph.nodes):
            for name in ("weight", "bias", "scale", "shift", "value"):
                tensor = getattr(node.op, name, None)
                if isinstance(tensor, Tensor):
                    self.register_buffer(f"{name}{k}", tensor)
        self.position = {node.name: k for k, node in enumerate(graph.nodes)}

    def forward(self, x: Tensor) -> Tensor:
        values: dict[str, Tensor] = {}
        for node in self.graph.nodes:
            if isinstance(node.op, Input):
                values[node.name] = x
            elif isinstance(node.op, Constant):
                values[node.name] = self._tensor(node, "value").unsqueeze(0).expand(x.shape[0], *node.shape)
            else:
                values[node.name] = self._layer(node.op, node, *(values[name] for name in node.inputs))
        return values[self.graph.output]

    def _tensor(self, node: Node, name: str) -> Tensor | None:
        return getattr(self, f"{name}{self.position[node.name]}", None)

    @singledispatchmethod
    def _layer(self, op: Op, node: Node, *xs: Tensor) -> Tensor:
        raise UnsupportedOperator(f"method 'auto-lirpa' has no layer for {type(op).__name__} (node {node.name!r})")

    @_layer.register
    def _(self, op: Linear, node: Node, *xs: Tensor) -> Tensor:
        return F.linear(xs[0], self._tensor(node, "weight"), self._tensor(node, "bias"))

    @_layer.register
    def _(self, op: Affine, node: Node, *xs: Tensor) -> Tensor:
        y = xs[0] if op.scale is None else xs[0] * self._tensor(node, "scale")
        return y if op.shift is None else y + self._tensor(node, "shift")

    @_layer.register
    def _(self, op: Add, node: Node, *xs: Tensor) -> Tensor:
        total = xs[0] if op.signs[0] > 0 else -xs[0]
        for sign, x in zip(op.signs[1:], xs[1:], strict=True):
            total = total + x if sign > 0 else total - x
        return total

    @_layer.register
    def _(self, op: Relu, node: Node, *xs: Tensor) -> Tensor:
        return torch.relu(xs[0])

    @_layer.register
    def _(self, op: Curve, node: Node, *xs: Tensor) -> Tensor:
        return op.evaluate(xs[0])

    @_layer.register
    def _(self, op: Product, node: Node, *xs: Tensor) -> Tensor:
        return xs[0] * xs[1]

    @_layer.register
    def _(self, op: Reshape, node: Node, *xs: Tensor) -> Tensor:
        return xs[0].reshape(-1, *op.shape)

    @_layer.register
    def _(self, op: Transpose, node: Node, *xs: Tensor) -> Tensor:
        return xs[0].permute(0, *(k + 1 for k in op.perm))

    @_layer.register
    def _(self, op: Concat, node: Node, *xs: Tensor) -> Tensor:
        return torch.cat(xs, op.axis + 1)

    @_layer.register
    def _(self, op: Sum, node: Node, *xs: Tensor) -> Tensor:
        return xs[0].sum([k + 1 for k in op.axes], keepdim=True)

    @_layer.register
    def _(self, op: Gather, node: Node, *xs: Tensor) -> Tensor:
        """As a product with a 0/1 matrix: the one way of reading entries that every version bounds."""
        flat, size = op.indices.flatten(), math.prod(xs[0].shape[1:])
        pick = xs[0].new_zeros(flat.numel(), size)
        kept = (flat >= 0).nonzero().squeeze(1)
        pick[kept, flat[kept]] = 1
        fill = torch.where(flat < 0, op.fill, 0.0).to(xs[0])
        return F.linear(xs[0].reshape(-1, size), pick, fill).reshape(-1, *node.shape)

    @_layer.register
    def _(self, op: Conv, node: Node, *xs: Tensor) -> Tensor:
        x, weight, bias = xs[0].reshape(-1, *xs[0].shape[2:]), self._tensor(node, "weight"), self._tensor(node, "bias")
        y = F.conv2d(x, weight, bias, op.stride, op.padding, op.dilation, op.groups)
        return y.reshape(-1, *node.shape)

    @_layer.register
    def _(self, op: ConvTranspose, node: Node, *xs: Tensor) -> Tensor:
        x, weight, bias = xs[0].reshape(-1, *xs[0].shape[2:]), self._tensor(node, "weight"), self._tensor(node, "bias")
        y = F.conv_transpose2d(x, weight, bias, op.stride, op.padding, op.output_padding, op.groups, op.dilation)
        return y.reshape(-1, *node.shape)


def lower_bounds(query: Query, method: str = "CROWN-Optimized") -> Tensor:
    """auto_LiRPA's lower bounds (R,) of the query's rows on its box; `method` is one of `METHODS`.

    Raises `InvalidInput` (package missing or too old) or `UnsupportedOperator`.
    """
    package = load()
    # The package computes in torch's default dtype.
    graph = query.graph.to(dtype=torch.get_default_dtype())
    box = query.box.interval(graph.input.shape, graph.device, graph.dtype)
    module = GraphModule(graph).eval()
    # Exactly one leading axis of domains, which the package reads as its batch.
    bounded = package.BoundedModule(module, box.center, device=str(box.lower.device))
    norm = package.PerturbationLpNorm(norm=math.inf, x_L=box.lower, x_U=box.upper)
    point = package.BoundedTensor(box.center, norm)
    lower, _ = bounded.compute_bounds(x=(point,), method=method, bound_upper=False)
    return lower.detach().flatten()


class AutoLirpaVerifier:
    """IBP, CROWN and alpha-CROWN bounds by auto_LiRPA; a second opinion, never a verdict."""

    name, sound, complete_for, semantics = "auto-lirpa", False, "nothing", ("real",)

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def verify(self, query: Query, budget: Budget) -> Result:
        load()
        best = torch.full((query.rows,), -torch.inf)
        for method in METHODS:
            if budget.expired:
                return Result.unknown(Reason.TIMEOUT, f"stopped before {method}")
            try:
                found = lower_bounds(query, method).cpu()
            except (UnsupportedOperator, NotImplementedError, KeyError) as error:
                return Result.unknown(Reason.UNSUPPORTED, f"auto_LiRPA cannot bound this network: {error}")
            best = torch.fmax(best, found)
        margins = closed_disjuncts(best, query.members.cpu())
        least = float(margins.min()) if margins.numel() else math.inf
        sign = "positive, but rounding is not charged: no proof" if least > 0 else "not positive"
        return Result.unknown(Reason.INCOMPLETE, f"auto_LiRPA's best bound is {least:.6g} ({sign})",
                              stats=Stats(budget.elapsed, 1, least, self.name))
