"""CROWN: backward linear bounds (Zhang et al. 2018; DeepPoly, Singh et al. 2019), batched over boxes.

For every nonlinear node in order, the rows +-e_k of its unstable inputs are walked back to the network input, each
nonlinear node on the way replaced by its lines, and minimised over the box; the result is met with the interval known
before. Sound: with `charges` the bounds are rigorous in the arithmetic that computed them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from verify.bounds.moves import source_of
from verify.bounds.walk import Bounds, Charges, Rule, backward, exact_by_intervals, forward, identity_rows
from verify.budget import never
from verify.graph import Graph, Node
from verify.linear_form import LinearForm
from verify.ops import Relu
from verify.relaxations import CROWN, Lines, Relaxer
from verify.relaxations.base import Planes
from verify.sets import Interval, entries, gamma

ROW_BYTES = 1 << 28


KnownLines = dict[str, Lines | Planes]
"""The lines of nonlinear nodes whose input bounds are final: kept from one walk to the next."""


def crown_rule(bounds: Bounds, relaxer: Relaxer, charged: bool = False, lines: KnownLines | None = None) -> Rule:
    """The backward rule that replaces every nonlinear node by its lines on `bounds`; `charged` tells what rounding may
    have added by them. `lines` of the same bounds are used and added to."""
    lines = {} if lines is None else lines

    def rule(node: Node, coeff: Tensor) -> tuple[tuple[Tensor, ...], Tensor, Tensor | None]:
        pres = [bounds[name] for name in node.inputs]
        if node.name not in lines:
            lines[node.name] = relaxer.lines(node.name, node.op, *pres)
        rows, offset = lines[node.name].pull_back(coeff)
        lost = None
        if charged and isinstance(node.op, Relu):
            # All offsets have one sign: their sum is wrong by at most its own size times gamma.
            lost = gamma(math.prod(node.shape), coeff.dtype) * offset.abs()
        elif charged:
            lost = lines[node.name].lost(coeff.detach(), *(pre.magnitude for pre in pres))
        return rows if isinstance(rows, tuple) else (rows,), offset, lost

    return rule


def needs_bounds(node: Node, pre: Interval) -> Tensor:
    """Flat indices of the neurons whose pre-activation interval a tighter bound could improve, in any domain."""
    lower, upper = entries(pre.lower, 1), entries(pre.upper, 1)
    open_ = (lower < 0) & (upper > 0) if isinstance(node.op, Relu) else lower < upper
    return open_.any(0).nonzero().squeeze(1)


def chunk_rows(graph: Graph, domains: int, rows: int, budget: int = ROW_BYTES) -> int:
    """How many rows fit into `budget` bytes when each needs the widest value of the graph for every domain."""
    widest = max(math.prod(node.shape) for node in graph.nodes)
    each = 4 * widest * domains * torch.finfo(graph.dtype).bits // 8
    return max(1, min(rows, budget // max(each, 1)))


def refine_by_crown(graph: Graph, box: Interval, node: Node, pre_name: str, bounds: Bounds, relaxer: Relaxer,
                    charges: Charges | None, lines: KnownLines | None = None) -> Interval:
    """The interval of input `pre_name` of nonlinear `node`, tightened by CROWN rows for its unstable neurons; `lines`
    as in `crown_rule`."""
    pre = bounds[pre_name]
    indices = needs_bounds(node, pre)
    if indices.numel() == 0 or exact_by_intervals(graph, pre_name):
        return pre
    rule = crown_rule(bounds, relaxer, charges is not None, lines)
    domains = box.lower.shape[0]
    step = chunk_rows(graph, domains, 2 * indices.numel())
    lower, upper = (entries(side, 1).expand(domains, -1) for side in (pre.lower, pre.upper))
    for part in indices.split(max(1, step // 2)):
        rows = identity_rows(graph[pre_name].shape, part, (1.0, -1.0), box.lower)
        bound = backward(graph, pre_name, rows, rule, charges, relaxer.rounded).minimum(box)
        low, high = bound[:, : part.numel()], -bound[:, part.numel() :]
        # What overflowed or is no number is no bound.
        low = torch.where(torch.isfinite(low), low, -torch.inf)
        high = torch.where(torch.isfinite(high), high, torch.inf)
        lower = lower.index_copy(1, part, torch.maximum(lower[:, part], low))
        upper = upper.index_copy(1, part, torch.minimum(upper[:, part], high))
    shape = (domains, *pre.lower.shape[1:])
    found = Interval(lower.reshape(shape), upper.reshape(shape))
    return found.meet(pre) if relaxer.rounded else found


def crown_bounds(graph: Graph, box: Interval, relaxer: Relaxer = CROWN, charges: Charges | None = None,
                 intermediate: str = "crown", known: Bounds | None = None, lines: KnownLines | None = None,
                 into: Bounds | None = None, expired: Callable[[], bool] = never) -> Bounds:
    """Intervals of every node; nonlinear nodes' inputs tightened by CROWN, or left as IBP found them
    (`intermediate="ibp"`, the CROWN-IBP of Zhang et al. 2020). `known`: intervals of a box that contains this one;
    `into` is filled on the way. Raises `TimeoutError` between nodes when `expired` says so."""

    lines = {} if lines is None else lines
    whole: set[str] = set()  # values of which all entries have CROWN bounds: their next reader needs no others

    def refine(node: Node, name: str, bounds: Bounds) -> Interval:
        if expired():
            raise TimeoutError
        source, index = (name, None) if isinstance(node.op, Relu) else source_of(graph, name)
        if index is not None and source != name and math.prod(graph[source].shape) <= index.numel():
            # Copies of fewer entries: their bounds are those of what they copy.
            bounds[source] = refine(node, source, bounds)
            pre = bounds[name]
            lower, upper = (entries(end, 1)[:, index].reshape(-1, *pre.lower.shape[1:])
                            for end in (bounds[source].lower, bounds[source].upper))
            return pre.meet(Interval(lower, upper))
        if name in whole:
            return bounds[name]
        if known is not None:
            bounds = {**bounds, name: bounds[name].meet(known[name])}
        if intermediate == "ibp":
            return bounds[name]
        if not isinstance(node.op, Relu):
            whole.add(name)
        return refine_by_crown(graph, box, node, name, bounds, relaxer, charges, lines)

    return forward(graph, box, refine, rounded=relaxer.rounded, into=into)


def output_form(graph: Graph, bounds: Bounds, coeff: Tensor, relaxer: Relaxer = CROWN, charges: Charges | None = None,
                lines: KnownLines | None = None) -> LinearForm:
    """Rows (n or 1, r, *output shape) on the output as a linear form of the input."""
    rule = crown_rule(bounds, relaxer, charges is not None, lines)
    return backward(graph, graph.output, coeff, rule, charges, relaxer.rounded)


def crown(graph: Graph, box: Interval, coeff: Tensor | None = None, relaxer: Relaxer = CROWN,
          charges: Charges | None = None, intermediate: str = "crown") -> tuple[Tensor, Bounds]:
    """Lower bounds (n, r) of the rows `coeff` on the output (identity when None), and the intervals used.

    `box` (n, *input shape). Differentiable with respect to weights and box; rigorous when `charges` are given (see
    `verify.bounds.walk.charges`; they must come from these boxes, or from one that contains them). For training, where
    neither is rounding charged nor a verdict drawn, `relaxer` is `verify.relaxations.TRAINING`.
    """
    lines: KnownLines = {}
    bounds = crown_bounds(graph, box, relaxer, charges, intermediate, lines=lines)
    if coeff is None:
        shape = graph[graph.output].shape
        coeff = identity_rows(shape, torch.arange(math.prod(shape), device=box.lower.device), (1.0,), box.lower)
    return output_form(graph, bounds, coeff, relaxer, charges, lines).minimum(box), bounds
