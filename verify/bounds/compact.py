"""The network collapsed, once per box, to its unstable neurons.

With fixed intermediate bounds every stable neuron is linear, so convolutions, normalisations, pooling and residual
connections disappear:

    z_i = M_i0 x + sum_{j<i} M_ij y_j + m_i,    y_j = f(z_j),    h = M_h0 x + sum_j M_hj y_j + m_h

where z_i, y_i are the pre- and post-activations of the unstable neurons of layer i, x the inputs that vary, and h the
rows of the property. A product reads two z, and several products may read the same one. The matrices come from one
backward walk per layer that stops at unstable neurons and passes through active ones. Each row carries `error`, a
bound on the rounding of its own computation over the whole box, so that what is proved about the collapsed network is
proved about the network (`verify.bounds.walk`, charges).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from verify.bounds.crown import chunk_rows
from verify.bounds.walk import Bounds, backward, charge, identity_rows
from verify.budget import never
from verify.errors import Unbounded
from verify.graph import Graph, Node
from verify.linear_form import LinearForm
from verify.ops import Input, Op, Relu
from verify.sets import Interval, entries, gamma, underflow

Rows = tuple[Tensor, Tensor, Tensor]
"""Rows in collapsed form: weight (r, width), bias (r,), error (r,)."""


@dataclass(frozen=True, eq=False)
class CompactLayer:
    """The unstable neurons of one nonlinear node. v = [x, y of layer 1, y of layer 2, ...]; this layer's outputs start
    at column `start`. z = weight @ v[:start] + bias, exact within +-error; lower <= z <= upper (all (Z,)). `reads`
    (arity, U): which z are the arguments of every neuron; None where neuron k reads z_k."""

    node: str
    op: Op
    neurons: Tensor
    start: int
    weight: Tensor
    bias: Tensor
    error: Tensor
    lower: Tensor
    upper: Tensor
    reads: Tensor | None = None

    @property
    def size(self) -> int:
        return self.neurons.numel()

    @property
    def arity(self) -> int:
        return 1 if self.reads is None else self.reads.shape[0]

    def pres(self, lower: Tensor, upper: Tensor) -> list[Interval]:
        """Bounds (..., Z) of this layer's arguments, one interval (..., U) for each argument of its neurons."""
        if self.reads is None:
            return [Interval(lower, upper)]
        return [Interval(lower[..., read], upper[..., read]) for read in self.reads]

    @property
    def columns(self) -> slice:
        return slice(self.start, self.start + self.size)

    def tightened(self, lower: Tensor, upper: Tensor) -> CompactLayer:
        """The same layer with (at least as tight) other bounds."""
        return replace(self, lower=torch.maximum(self.lower, lower), upper=torch.minimum(self.upper, upper))


class Span(NamedTuple):
    """A layer and its places: neurons `u` among all U, readings `s` among all S (the first arguments of all its
    neurons, then the second ones), arguments `z` among all Z."""

    layer: CompactLayer
    u: slice
    s: slice
    z: slice


@dataclass(frozen=True, eq=False)
class CompactNetwork:
    """`varying` (I,): flat indices of the inputs that vary, in [x_lower, x_upper]; rows h = row_weight @ v + row_bias
    within +-row_error."""

    varying: Tensor
    x_lower: Tensor
    x_upper: Tensor
    layers: tuple[CompactLayer, ...]
    row_weight: Tensor
    row_bias: Tensor
    row_error: Tensor

    @property
    def inputs(self) -> int:
        return self.varying.numel()

    @property
    def unstable(self) -> int:
        return sum(layer.size for layer in self.layers)

    @property
    def width(self) -> int:
        return self.inputs + self.unstable

    @cached_property
    def spans(self) -> tuple[Span, ...]:
        """Every layer with its places among all neurons, all readings of arguments, and all arguments."""
        found, u, s, z = [], 0, 0, 0
        for layer in self.layers:
            readings, arguments = layer.arity * layer.size, layer.bias.numel()
            found.append(Span(layer, slice(u, u + layer.size), slice(s, s + readings), slice(z, z + arguments)))
            u, s, z = u + layer.size, s + readings, z + arguments
        return tuple(found)

    @property
    def readings(self) -> int:
        """S: readings of arguments by all neurons."""
        return sum(layer.arity * layer.size for layer in self.layers)

    @property
    def arguments(self) -> int:
        """Z: arguments of all neurons, each counted once."""
        return sum(layer.bias.numel() for layer in self.layers)

    @cached_property
    def relu_only(self) -> bool:
        return all(isinstance(layer.op, Relu) for layer in self.layers)

    @property
    def lower(self) -> Tensor:
        """Pre-activation lower bounds of all layers, (Z,)."""
        return torch.cat([layer.lower for layer in self.layers]) if self.layers else self.x_lower[:0]

    @property
    def upper(self) -> Tensor:
        return torch.cat([layer.upper for layer in self.layers]) if self.layers else self.x_lower[:0]

    @property
    def flops(self) -> int:
        """Multiplications and additions of one backward pass for one row."""
        return 2 * (sum(layer.weight.numel() for layer in self.layers) + self.row_weight.shape[1])

    def with_rows(self, weight: Tensor, bias: Tensor, error: Tensor) -> CompactNetwork:
        return replace(self, row_weight=weight, row_bias=bias, row_error=error)

    def to(self, device=None, dtype: torch.dtype | None = None) -> CompactNetwork:
        """Moved, or in another dtype; going to float32 adds the rounding of the matrices to the errors."""
        dtype = dtype or self.row_weight.dtype
        if dtype == self.row_weight.dtype:
            moved = [t.to(device) for t in (self.varying, self.x_lower, self.x_upper, self.row_weight, self.row_bias,
                                            self.row_error)]
            layers = tuple(_map_layer(layer, lambda t: t.to(device)) for layer in self.layers)
            return CompactNetwork(*moved[:3], layers, *moved[3:])
        reach = self.reach
        narrow = torch.finfo(dtype).eps > torch.finfo(self.row_weight.dtype).eps

        def error(weight: Tensor, bias: Tensor, known: Tensor) -> Tensor:
            if not narrow:
                return known.to(device, dtype)
            lost = torch.finfo(dtype).eps * (weight.abs() @ reach[: weight.shape[1]] + bias.abs())
            return ((known + lost) * (1 + 4 * torch.finfo(dtype).eps)).to(device, dtype)

        layers = []
        for layer in self.layers:
            pre = Interval(layer.lower, layer.upper).to(device, dtype)
            layers.append(replace(
                layer, neurons=layer.neurons.to(device),
                reads=None if layer.reads is None else layer.reads.to(device), weight=layer.weight.to(device, dtype),
                bias=layer.bias.to(device, dtype), error=error(layer.weight, layer.bias, layer.error),
                lower=pre.lower, upper=pre.upper,
            ))
        box = Interval(self.x_lower, self.x_upper).to(device, dtype)
        return CompactNetwork(
            self.varying.to(device), box.lower, box.upper, tuple(layers), self.row_weight.to(device, dtype),
            self.row_bias.to(device, dtype), error(self.row_weight, self.row_bias, self.row_error),
        )

    @cached_property
    def reach(self) -> Tensor:
        """Largest absolute value of every entry of v."""
        parts = [torch.maximum(self.x_lower.abs(), self.x_upper.abs())]
        for layer in self.layers:
            parts.append(layer.op.interval(*layer.pres(layer.lower, layer.upper)).magnitude)
        return torch.cat(parts)


def _map_layer(layer: CompactLayer, move) -> CompactLayer:
    return CompactLayer(layer.node, layer.op, move(layer.neurons), layer.start, move(layer.weight), move(layer.bias),
                        move(layer.error), move(layer.lower), move(layer.upper),
                        None if layer.reads is None else move(layer.reads))


@dataclass(frozen=True, eq=False)
class Cut:
    """Where backward walks stop in one nonlinear node: its layer (None when nothing is unstable) and the indicator of
    its stable active neurons (*shape), None when there are none."""

    layer: CompactLayer | None
    active: Tensor | None


class Compactor:
    """Builds a `CompactNetwork` front to back: the one walk per layer, shared by bounds and matrices.

    Used by `verify.bounds.root`, which decides the bounds; `rows` gives the collapsed form of any rows of a node, in
    terms of the layers added so far; `add` appends the unstable neurons of a nonlinear node.
    """

    def __init__(self, graph: Graph, box: Interval, varying: Tensor, expired: Callable[[], bool] = never):
        self.graph, self.box, self.varying, self.expired = graph, box, varying, expired
        self.layers: list[CompactLayer] = []
        self.cuts: dict[str, Cut] = {}
        self.charges: dict[str, Tensor] = {}
        low, high = box.lower.flatten(), box.upper.flatten()
        fixed = torch.ones(low.numel(), dtype=torch.bool, device=low.device)
        fixed[varying] = False
        self.fixed = fixed.nonzero().squeeze(1)
        self.center, self.radius = box.center.flatten(), (box.upper - box.lower).flatten()
        self.x_lower, self.x_upper = low[varying], high[varying]

    @property
    def width(self) -> int:
        return self.varying.numel() + sum(layer.size for layer in self.layers)

    def charge_until(self, name: str, bounds: Bounds) -> None:
        """Makes the rounding charges of all nodes up to `name` known."""
        for node in self.graph.nodes:
            if node.name not in self.charges and node.name in bounds and not isinstance(node.op, Input):
                cost = charge(node, bounds)
                self.charges[node.name] = cost if cost is not None else bounds[node.name].lower[:1] * 0
            if node.name == name:
                break

    def rows(self, name: str, coeff: Tensor) -> Rows:
        """Rows `coeff` (1, r, *shape) on node `name`: (weight (r, width), bias (r,), error (r,))."""
        blocks: dict[str, Tensor] = {}

        def rule(node: Node, rows: Tensor) -> tuple[tuple[Tensor | None, ...], None, None]:
            cut = self.cuts[node.name]
            if cut.layer is not None:
                blocks[node.name] = entries(rows, 2)[0][:, cut.layer.neurons]
            below = None if cut.active is None else rows * cut.active
            return tuple(below for _ in node.inputs), None, None

        form = backward(self.graph, name, coeff, rule, self.charges)
        return self._assemble(form, blocks)

    def _assemble(self, form: LinearForm, blocks: dict[str, Tensor]) -> Rows:
        x = entries(form.coeff, 2)[0]
        count = x.shape[0]
        weight = x.new_zeros(count, self.width)
        weight[:, : self.varying.numel()] = x[:, self.varying]
        for layer in self.layers:
            if layer.node in blocks:
                weight[:, layer.columns] = blocks[layer.node]
        fixed = x[:, self.fixed]
        bias = form.offset[0] + fixed @ self.center[self.fixed]
        # Inputs that do not vary still have a width of an ulp when their decimal is no float.
        unit = gamma(self.fixed.numel(), x.dtype)
        lost = fixed.abs() @ (unit * self.center[self.fixed].abs() + self.radius[self.fixed] * (1 + unit))
        # Products that underflowed on their way to any entry of v, or to the bias.
        reach = torch.maximum(self.box.lower.abs(), self.box.upper.abs()).sum() + 1
        for layer in self.layers:
            reach = reach + torch.maximum(layer.lower.abs(), layer.upper.abs()).sum() + layer.size
        error = form.error[0] + lost + unit * bias.abs() + underflow(x.dtype) * reach
        return weight, bias, error

    def add_relu(self, node: Node, pre: Interval, indices: Tensor, rows: Rows) -> None:
        """Appends the unstable neurons of ReLU `node`; `rows` are those of the flat `indices` of its input."""
        lower, upper = pre.lower.flatten(), pre.upper.flatten()
        on, neurons = lower >= 0, ((lower < 0) & (upper > 0)).nonzero().squeeze(1)
        layer = None
        if neurons.numel():
            keep = torch.isin(indices, neurons)
            layer = CompactLayer(node.name, node.op, neurons, self.width, *(part[keep] for part in rows),
                                 lower[neurons], upper[neurons])
            self.layers.append(layer)
        active = on.to(lower.dtype).reshape(self.graph[node.name].shape) if bool(on.any()) else None
        self.cuts[node.name] = Cut(layer, active)

    def add(self, node: Node, arguments: Arguments, reads: Sequence[Tensor]) -> None:
        """Appends nonlinear `node`, all its neurons; `reads` says for each of its inputs which of the `arguments` the
        neurons read. Raises `Unbounded` where a neuron has no finite bound."""
        count = math.prod(node.shape)
        plain = len(reads) == 1 and torch.equal(reads[0], torch.arange(count, device=reads[0].device))
        neurons = torch.arange(count, device=self.box.lower.device)
        layer = CompactLayer(node.name, node.op, neurons, self.width, *widened_rows(arguments.rows, self.width),
                             arguments.lower, arguments.upper, None if plain else torch.stack(list(reads)))
        _require_bounded(layer)
        self.layers.append(layer)
        self.cuts[node.name] = Cut(layer, None)

    def pre_rows(self, name: str, indices: Tensor) -> Rows:
        """`rows` for single entries of node `name`, in chunks under the row budget; `TimeoutError` between chunks."""
        step = chunk_rows(self.graph, 1, indices.numel())
        parts = []
        for part in indices.split(step):
            if self.expired():
                raise TimeoutError
            parts.append(self.rows(name, identity_rows(self.graph[name].shape, part, (1.0,), self.box.lower)))
        return tuple(torch.cat(column) for column in zip(*parts, strict=True))

    def network(self, row_weight: Tensor, row_bias: Tensor, row_error: Tensor) -> CompactNetwork:
        return CompactNetwork(self.varying, self.x_lower, self.x_upper, tuple(self.layers), row_weight, row_bias,
                              row_error)


@dataclass(frozen=True, eq=False)
class Arguments:
    """Rows of z in collapsed form with their bounds (k,)."""

    rows: Rows
    lower: Tensor
    upper: Tensor

    def __getitem__(self, key: Tensor) -> Arguments:
        return Arguments(tuple(part[key] for part in self.rows), self.lower[key], self.upper[key])

    @staticmethod
    def cat(parts: Sequence[Arguments], width: int) -> Arguments:
        rows = zip(*(widened_rows(part.rows, width) for part in parts), strict=True)
        return Arguments(tuple(torch.cat(column) for column in rows), torch.cat([part.lower for part in parts]),
                         torch.cat([part.upper for part in parts]))


def widened_rows(rows: Rows, width: int) -> Rows:
    """The rows over more columns, which they do not read."""
    weight, bias, error = rows
    return torch.nn.functional.pad(weight, (0, width - weight.shape[1])), bias, error


def _require_bounded(layer: CompactLayer) -> None:
    pres = layer.pres(layer.lower, layer.upper)
    image = layer.op.interval(*pres)
    finite = torch.isfinite(image.lower) & torch.isfinite(image.upper)
    for pre in pres:
        finite &= torch.isfinite(pre.lower + pre.upper)
    if bool(finite.all()):
        return
    at = int((~finite).nonzero()[0])
    ranges = ", ".join(f"[{float(pre.lower[at]):.4g}, {float(pre.upper[at]):.4g}]" for pre in pres)
    raise Unbounded(f"node {layer.node!r}: {type(layer.op).__name__} has no finite bounds on {ranges} "
                    f"(entry {int(layer.neurons[at])}{', and others' if int((~finite).sum()) > 1 else ''})")
