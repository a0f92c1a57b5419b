"""Root analysis: the compacted network of a query with CROWN bounds, and its refinement by alpha-CROWN.

`compact_root` walks the graph once: for each nonlinear node the rows of its IBP-unstable inputs are collapsed
(`Compactor`), bounded by one dual pass each way (this equals CROWN, for half the walks), met with the intervals, and
the neurons that stay unstable join the collapsed network. `refine` tightens the intermediate bounds on the collapsed
matrices alone, layer by layer with slopes of their own per neuron, and `drop_stable` removes what became linear.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from verify.bounds.ascent import AscentOptions, ascend
from verify.bounds.compact import Arguments, CompactLayer, CompactNetwork, Compactor
from verify.bounds.crown import needs_bounds
from verify.bounds.dual import DualParams, DualProblem
from verify.bounds.moves import source_of
from verify.bounds.walk import Bounds, exact_by_intervals, forward, identity_rows
from verify.budget import never
from verify.errors import OutOfResources
from verify.graph import Graph, Node
from verify.ops import Relu
from verify.sets import Interval, gamma, underflow

WIDE, WIDE_ROWS = 4096, 256
"""In a collapsed network of this many columns rows are bounded a few at a time: neighbours share the neurons that they
read, and a pass skips the others (maxpool network, 15,000 columns: 20 s of processor time instead of 45 s)."""


@dataclass(frozen=True, eq=False)
class Root:
    """`bounds`: intervals of every node on the box; `network`: the collapsed network, None where there is none;
    `row_lower` (r,): rigorous lower bounds of the property's rows, each alone."""

    bounds: Bounds
    network: CompactNetwork | None
    row_lower: Tensor


class RootTrace(Protocol):
    """An observer of the root bounds; it cannot influence them."""

    def bounded(self, margins: Tensor) -> None:
        """Plain bounds gave every disjunct its margin (D,)."""
        ...

    def combined(self, network: CompactNetwork, disjuncts: Tensor, params: DualParams, margins: Tensor) -> None:
        """alpha-CROWN on `network` gave `disjuncts` (k,) `margins` (k,), by `params` (k, ...)."""
        ...

    def refined(self, network: CompactNetwork, layer: CompactLayer, rows: Tensor, params: DualParams, found: Interval
                ) -> None:
        """alpha-CROWN on `network`, which ends below `layer`, gave neurons `rows` (k,) of the layer the interval
        `found` (k,), by `params` (2k, ...): the lower bounds of z, then those of -z."""
        ...


class NullRootTrace:
    """Watches nothing."""

    def bounded(self, margins: Tensor) -> None:
        pass

    def combined(self, network: CompactNetwork, disjuncts: Tensor, params: DualParams, margins: Tensor) -> None:
        pass

    def refined(self, network: CompactNetwork, layer: CompactLayer, rows: Tensor, params: DualParams, found: Interval
                ) -> None:
        pass


UNWATCHED = NullRootTrace()


def rigorous_rows(network: CompactNetwork, weight: Tensor, bias: Tensor, error: Tensor,
                  options: AscentOptions | None = None, expired: Callable[[], bool] = never) -> Tensor:
    """Rigorous lower bounds (k,) of rows given in collapsed form, at CROWN's slopes or after ascent.

    -inf where no finite bound was found. Rows above 0 are not improved further: their sign is what matters. The ascent
    runs in float32 (any slopes are sound), the bound is evaluated in the network's dtype.
    """
    return _rows_and_params(network, weight, bias, error, options, expired)[0]


def _rows_and_params(network: CompactNetwork, weight: Tensor, bias: Tensor, error: Tensor,
                     options: AscentOptions | None, expired: Callable[[], bool]) -> tuple[Tensor, DualParams]:
    """`rigorous_rows` with the slopes that gave the bounds."""
    problem = DualProblem.of(network)
    params = problem.initial(weight.new_zeros(weight.shape[0], 0))
    bound = problem.rigorous(params, None, (weight, bias), error)
    if options is not None and network.unstable:
        fast = DualProblem.of(network.to(dtype=torch.float32))
        start = (weight.float(), bias.float())
        params = ascend(fast, params.to(torch.float32), options=options, start=start, expired=expired).params
        params = params.to(weight.dtype)
        bound = torch.fmax(bound, problem.rigorous(params, None, (weight, bias), error))
    return torch.nan_to_num(bound, -torch.inf, -torch.inf, -torch.inf), params


def _unseen(rows: Tensor, params: DualParams, found: Interval) -> None:
    pass


def both_sides(network: CompactNetwork, weight: Tensor, bias: Tensor, error: Tensor, chunk: int = 4096,
               options: AscentOptions | None = None, expired: Callable[[], bool] = never,
               see: Callable[[Tensor, DualParams, Interval], None] = _unseen) -> Interval:
    """Interval (k,) of rows in collapsed form: their minimum, and minus the minimum of the negated rows. `see` is told
    about every chunk: which rows, the slopes of both sides, the interval."""
    lower, upper = [], []
    for part in torch.arange(weight.shape[0], device=weight.device).split(max(1, chunk)):
        w, b, e = weight[part], bias[part], error[part]
        both, params = _rows_and_params(network, torch.cat([w, -w]), torch.cat([b, -b]), torch.cat([e, e]),
                                        options, expired)
        lower.append(both[: part.numel()])
        upper.append(-both[part.numel() :])
        see(part, params, Interval(lower[-1], upper[-1]))
    return Interval(torch.cat(lower), torch.cat(upper))


def compact_root(graph: Graph, box: Interval, varying: Tensor, memory_bytes: int = 4 << 30,
                 expired: Callable[[], bool] = never) -> Root:
    """CROWN bounds and the collapsed network of `graph`, whose output is the rows of a property, over one box.

    Raises `OutOfResources` when the collapsed network would not fit into `memory_bytes`, `TimeoutError` when
    `expired` says so between layers.
    """
    builder = _RootBuilder(graph, box, Compactor(graph, box, varying, expired), memory_bytes)
    bounds = forward(graph, box, builder.refine)
    compactor = builder.compactor
    compactor.charge_until(graph.output, bounds)
    size = graph[graph.output].shape
    rows = identity_rows(size, torch.arange(size[0], device=box.lower.device), (1.0,), box.lower)
    network = compactor.network(*compactor.rows(graph.output, rows))
    row_lower = rigorous_rows(network, network.row_weight, network.row_bias, network.row_error)
    # Interval arithmetic is sometimes ahead of CROWN; both are rigorous.
    row_lower = torch.maximum(row_lower, bounds[graph.output].lower.flatten())
    return Root(bounds, network, row_lower)


@dataclass(frozen=True, eq=False)
class _Table:
    """What is known of one value's entries: `place` (entries,) int64, the row of each in `arguments`, or -1."""

    place: Tensor
    arguments: Arguments


class _RootBuilder:
    """Bounds the inputs of nonlinear nodes one after the other and appends their neurons. Lives for one root."""

    def __init__(self, graph: Graph, box: Interval, compactor: Compactor, memory_bytes: int) -> None:
        self.graph, self.box, self.compactor, self.memory_bytes = graph, box, compactor, memory_bytes
        self.tables: dict[str, _Table] = {}
        self.reads: dict[str, tuple[str, Tensor]] = {}  # of the current node's inputs

    def refine(self, node: Node, name: str, known: Bounds) -> Interval:
        """The interval of input `name`; with the last input, the node's neurons are appended."""
        if self.compactor.expired():
            raise TimeoutError
        if isinstance(node.op, Relu):
            return self._relu(node, name, known)
        source, index = source_of(self.graph, name)
        self._extend(node, source, index.unique(), known)
        table = self.tables[source]
        self.reads[name] = source, index
        rows = table.place[index]
        pre = _met(known[name], table.arguments.lower[rows], table.arguments.upper[rows])
        if name == node.inputs[-1]:
            self._append(node)
        return pre

    def _relu(self, node: Node, name: str, known: Bounds) -> Interval:
        self.compactor.charge_until(name, known)
        pre = known[name]
        indices = needs_bounds(node, pre)
        nothing = pre.lower.new_zeros(0)
        rows = nothing.new_zeros(0, self.compactor.width), nothing, nothing
        if indices.numel():
            found = self._bounded(node, name, indices, pre)
            rows, pre = found.rows, _scatter(pre, indices, Interval(found.lower, found.upper))
        self.compactor.add_relu(node, pre, indices, rows)
        return pre

    def _extend(self, node: Node, source: str, needed: Tensor, known: Bounds) -> None:
        """Rows and bounds of the `needed` flat entries of `source`, as far as there are none yet."""
        self.compactor.charge_until(source, known)
        table, pre = self.tables.get(source), known[source]
        place = table.place if table else torch.full((pre.lower[0].numel(),), -1, device=needed.device)
        missing = needed[place[needed] < 0]
        if not missing.numel():
            return
        found = self._bounded(node, source, missing, pre)
        before = table.arguments.lower.numel() if table else 0
        place = place.index_copy(0, missing, torch.arange(before, before + missing.numel(), device=needed.device))
        parts = [table.arguments, found] if table else [found]
        self.tables[source] = _Table(place, Arguments.cat(parts, self.compactor.width))
        known[source] = _scatter(pre, missing, Interval(found.lower, found.upper))

    def _append(self, node: Node) -> None:
        """The neurons of `node`, which read the arguments that `reads` tells, each argument taken once."""
        wanted: dict[str, Tensor] = {}
        for source, index in (self.reads[name] for name in node.inputs):
            wanted[source] = torch.cat([wanted[source], index]).unique() if source in wanted else index.unique()
        first, starts, parts = 0, {}, []
        for source, entries in wanted.items():
            table = self.tables[source]
            starts[source] = first
            parts.append(table.arguments[table.place[entries]])
            first += entries.numel()
        reads = [torch.searchsorted(wanted[source], index) + starts[source]
                 for source, index in (self.reads[name] for name in node.inputs)]
        self.compactor.add(node, Arguments.cat(parts, self.compactor.width), reads)

    def _bounded(self, node: Node, name: str, indices: Tensor, pre: Interval) -> Arguments:
        """Rows and CROWN bounds of flat entries of node `name`, met with its interval."""
        element, width = torch.finfo(self.graph.dtype).bits // 8, self.compactor.width
        needed = 3 * element * indices.numel() * (width + indices.numel())
        if needed > self.memory_bytes:
            raise OutOfResources(
                f"node {node.name!r} has {indices.numel()} unstable neurons; their linear bounds need "
                f"{needed >> 20} MiB, more than the {self.memory_bytes >> 20} MiB allowed")
        rows = self.compactor.pre_rows(name, indices)
        lower, upper = pre.lower.flatten()[indices], pre.upper.flatten()[indices]
        if exact_by_intervals(self.graph, name):
            return Arguments(rows, lower, upper)
        prefix = self.compactor.network(*(part[:0] for part in rows))
        chunk = max(1, self.memory_bytes // (16 * element * max(1, width)))
        found = both_sides(prefix, *rows, chunk=min(chunk, WIDE_ROWS if width >= WIDE else 4096))
        met = Interval(lower, upper).meet(found)
        return Arguments(rows, met.lower, met.upper)


def _met(pre: Interval, lower: Tensor, upper: Tensor) -> Interval:
    return pre.meet(Interval(lower.reshape(pre.lower.shape), upper.reshape(pre.upper.shape)))


def _scatter(pre: Interval, indices: Tensor, found: Interval) -> Interval:
    lower, upper = pre.lower.flatten().clone(), pre.upper.flatten().clone()
    lower[indices] = torch.maximum(lower[indices], found.lower)
    upper[indices] = torch.minimum(upper[indices], found.upper)
    return Interval(lower.reshape(pre.lower.shape), upper.reshape(pre.upper.shape)).meet(pre)


def refine(network: CompactNetwork, options: AscentOptions, expired: Callable[[], bool] = never,
           first_layer: int = 1, trace: RootTrace = UNWATCHED) -> CompactNetwork:
    """The same network with intermediate bounds optimised by alpha-CROWN, layers in order, never looser."""
    layers: list[CompactLayer] = list(network.layers[:first_layer])
    for layer in network.layers[first_layer:]:
        if expired():
            layers.append(layer)
            continue
        prefix = replace(network, layers=tuple(layers), row_weight=layer.weight[:0], row_bias=layer.bias[:0],
                         row_error=layer.error[:0])
        found = both_sides(prefix, layer.weight, layer.bias, layer.error, options=options, expired=expired,
                           see=partial(trace.refined, prefix, layer))
        met = Interval(layer.lower, layer.upper).meet(found)
        layers.append(layer.tightened(met.lower, met.upper))
    return replace(network, layers=tuple(layers))


def drop_stable(network: CompactNetwork) -> CompactNetwork:
    """Removes ReLUs whose bounds have become stable: active ones are substituted, inactive ones are zero.

    The substitution w_later += w_later[k] * row_k is charged with its rounding and with the error of row k.
    """
    if all(bool(((layer.lower < 0) & (layer.upper > 0)).all()) for layer in network.layers
           if isinstance(layer.op, Relu)):
        return network
    reach = network.reach
    rows = [(layer.weight.clone(), layer.bias.clone(), layer.error.clone()) for layer in network.layers]
    rows.append((network.row_weight.clone(), network.row_bias.clone(), network.row_error.clone()))
    kept = torch.ones(network.width, dtype=torch.bool, device=reach.device)
    unit = gamma(network.width + 4, reach.dtype)
    tiny = underflow(reach.dtype) * (1 + reach.sum())
    for position, layer in enumerate(network.layers):
        if not isinstance(layer.op, Relu):
            continue
        weight, bias, error = rows[position]
        active, inactive = layer.lower >= 0, layer.upper <= 0
        kept[layer.columns] = ~(active | inactive)
        if not bool(active.any()):
            continue
        lost = error[active] + unit * (weight[active].abs() @ reach[: layer.start] + bias[active].abs())
        for later in range(position + 1, len(rows)):
            w, b, e = rows[later]
            column = w[:, layer.columns][:, active]
            w[:, : layer.start] += column @ weight[active]
            e += column.abs() @ lost + unit * (b.abs() + w.abs() @ reach[: w.shape[1]]) + tiny
            b += column @ bias[active]
    layers, start = [], network.inputs
    for layer, (weight, bias, error) in zip(network.layers, rows, strict=False):
        keep = kept[layer.columns]
        if bool(keep.any()):
            rows_kept = keep if layer.reads is None else torch.ones_like(bias, dtype=torch.bool)
            layers.append(replace(
                layer, neurons=layer.neurons[keep], start=start, weight=weight[rows_kept][:, kept[: layer.start]],
                bias=bias[rows_kept], error=error[rows_kept], lower=layer.lower[rows_kept],
                upper=layer.upper[rows_kept]))
            start += layers[-1].size
    weight, bias, error = rows[-1]
    return replace(network, layers=tuple(layers), row_weight=weight[:, kept], row_bias=bias, row_error=error)
