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

from verify.bounds.compact import CompactLayer, CompactNetwork, Compactor, Rows, widened_rows
from verify.bounds.dual import AscentOptions, DualParams, DualProblem, ascend
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
    """`bounds`: intervals of every node on the box; `network`: the collapsed network; `row_lower` (r,): rigorous lower
    bounds of the property's rows, each alone."""

    bounds: Bounds
    network: CompactNetwork
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
    return torch.nan_to_num(bound, nan=-torch.inf, posinf=-torch.inf), params


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
    compactor = Compactor(graph, box, varying, expired)
    element = torch.finfo(graph.dtype).bits // 8
    pending: dict[str, tuple[Tensor, Rows, Interval]] = {}  # inputs of the current node
    whole: dict[str, tuple[Tensor, Rows, Interval]] = {}  # values of which every entry has its rows

    def refine_node(node: Node, name: str, known: Bounds) -> Interval:
        if expired():
            raise TimeoutError
        if name not in whole:
            pending[name] = bounded_rows(node, name, known)
            if not isinstance(node.op, Relu):
                whole[name] = pending[name]
        else:
            indices, rows, pre = whole[name]
            pending[name] = indices, widened_rows(rows, compactor.width), pre
        if name == node.inputs[-1]:
            found = [pending[each] for each in node.inputs]
            compactor.add(node, [pre for _, _, pre in found], found[0][0],
                          [widened_rows(rows, compactor.width) for _, rows, _ in found])
        return pending[name][2]

    def bounded_rows(node: Node, name: str, known: Bounds) -> tuple[Tensor, Rows, Interval]:
        compactor.charge_until(name, known)
        pre = known[name]
        indices = compactor.candidates(node, pre)
        if indices.numel() == 0:
            nothing = pre.lower.new_zeros(0)
            return indices, (nothing.new_zeros(0, compactor.width), nothing, nothing), pre
        needed = 3 * element * indices.numel() * (compactor.width + indices.numel())
        if needed > memory_bytes:
            raise OutOfResources(
                f"node {node.name!r} has {indices.numel()} unstable neurons; their linear bounds need "
                f"{needed >> 20} MiB, more than the {memory_bytes >> 20} MiB allowed"
            )
        parts = compactor.pre_rows(name, indices)
        if not exact_by_intervals(graph, name):
            prefix = compactor.network(*(p[:0] for p in parts))
            chunk = max(1, memory_bytes // (16 * element * max(1, prefix.width)))
            found = both_sides(prefix, *parts, chunk=min(chunk, WIDE_ROWS if prefix.width >= WIDE else 4096))
            pre = _scatter(pre, indices, found)
        return indices, parts, pre

    bounds = forward(graph, box, refine_node)
    compactor.charge_until(graph.output, bounds)
    size = graph[graph.output].shape
    rows = identity_rows(size, torch.arange(size[0], device=box.lower.device), (1.0,), box.lower)
    network = compactor.network(*compactor.rows(graph.output, rows))
    row_lower = rigorous_rows(network, network.row_weight, network.row_bias, network.row_error)
    # Interval arithmetic is sometimes ahead of CROWN; both are rigorous.
    row_lower = torch.maximum(row_lower, bounds[graph.output].lower.flatten())
    return Root(bounds, network, row_lower)


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
            slots = keep.repeat(layer.arity)
            layers.append(replace(
                layer, neurons=layer.neurons[keep], start=start, weight=weight[slots][:, kept[: layer.start]],
                bias=bias[slots], error=error[slots], lower=layer.lower[slots], upper=layer.upper[slots],
            ))
            start += layers[-1].size
    weight, bias, error = rows[-1]
    return replace(network, layers=tuple(layers), row_weight=weight[:, kept], row_bias=bias, row_error=error)
