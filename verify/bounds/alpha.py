"""alpha-CROWN (Xu et al. 2021) on the graph: lower ReLU slopes, tangents of curves and planes of products are optimised
by projected gradient ascent, all of them together.

Every position in [0, 1] is sound, so nothing that the optimiser does can be wrong, only loose. Rows have slopes of
their own; with `intermediate=True` the rows of every intermediate layer are optimised first, layer by layer, with the
bounds of the layers below already fixed. The start is CROWN and the best value per row is kept: never looser than
CROWN. This version differentiates through the walk; the search uses the compacted network (`verify.bounds.dual`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch

import torch
from torch import Tensor

from verify.bounds.crown import chunk_rows, crown, crown_rule, needs_bounds, refine_by_crown
from verify.bounds.walk import Bounds, Charges, backward, exact_by_intervals, forward, identity_rows
from verify.budget import never
from verify.graph import Graph, Node
from verify.ops import Curve, Op, Product, Relu
from verify.relaxations import CROWN, LOWER_SLOPES, Relaxer
from verify.relaxations.mccormick import balanced
from verify.relaxations.positions import start_positions
from verify.sets import Interval, entries


def optimise_rows(graph: Graph, box: Interval, start: str, coeff: Tensor, bounds: Bounds, iterations: int = 20,
                  lr: float = 0.25, decay: float = 0.98, charges: Charges | None = None,
                  expired: Callable[[], bool] = never) -> tuple[Tensor, Relaxer]:
    """Best lower bounds (n, r) of rows `coeff` (n or 1, r, *shape) on node `start`, and the slopes that gave the last
    improvement of their sum. `bounds` are fixed. A call of `expired` that says so ends the ascent."""
    ancestors = graph.ancestors(start)
    n, r = box.lower.shape[0], coeff.shape[1]
    with torch.no_grad():
        first = {node.name: _start(node.op, *(bounds[name] for name in node.inputs)) for node in graph.nonlinear
                 if node.name in ancestors}
        alpha = {name: a.unsqueeze(-len(graph[name].shape) - 1).expand(*a.shape[: a.dim() - len(graph[name].shape) - 1],
                                                                      n, r, *graph[name].shape).clone().requires_grad_()
                 for name, a in first.items() if a is not None}
        best = backward(graph, start, coeff, crown_rule(bounds, CROWN, charges is not None), charges).minimum(box)
    if not alpha:
        return best, CROWN
    optimiser = torch.optim.Adam(alpha.values(), lr=lr)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimiser, decay)
    kept = {name: a.detach().clone() for name, a in alpha.items()}
    for step in range(iterations + 1):
        with torch.enable_grad():
            rule = crown_rule(bounds, Relaxer(alpha=alpha), charges is not None)
            bound = backward(graph, start, coeff, rule, charges).minimum(box)
            loss = -bound.sum()
        with torch.no_grad():
            better = bound > best
            best = torch.where(better, bound, best)
            for name, a in alpha.items():
                mask = better.reshape(n, r, *([1] * len(graph[name].shape)))
                kept[name] = torch.where(mask, a, kept[name])
        if step == iterations or expired():
            break
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            for a in alpha.values():
                a.clamp_(0, 1)
    return best.detach(), Relaxer(alpha=kept)


@singledispatch
def _start(op: Op, *pres: Interval) -> Tensor | None:
    """CROWN's positions: (n, *shape), or (2, n, *shape) for both sides; None where nothing can be moved."""
    return None


@_start.register
def _(op: Relu, *pres: Interval) -> Tensor:
    return LOWER_SLOPES["adaptive"](pres[0])


@_start.register
def _(op: Curve, *pres: Interval) -> Tensor:
    return start_positions(op, pres[0])


@_start.register
def _(op: Product, *pres: Interval) -> Tensor:
    return torch.stack(balanced(*pres))


def _refine(graph: Graph, box: Interval, node: Node, pre_name: str, bounds: Bounds, charges: Charges | None,
            settings: dict) -> Interval:
    """CROWN first, then alpha for the neurons that are still unstable."""
    pre = refine_by_crown(graph, box, node, pre_name, bounds, CROWN, charges)
    indices = needs_bounds(node, pre)
    if indices.numel() == 0 or exact_by_intervals(graph, pre_name):
        return pre
    lower, upper = entries(pre.lower, 1).clone(), entries(pre.upper, 1).clone()
    for part in indices.split(max(1, chunk_rows(graph, box.lower.shape[0], 2 * indices.numel()) // 4)):
        rows = identity_rows(graph[pre_name].shape, part, (1.0, -1.0), box.lower)
        bound, _ = optimise_rows(graph, box, pre_name, rows, {**bounds, pre_name: pre}, charges=charges, **settings)
        k = part.numel()
        bound = torch.where(torch.isfinite(bound), bound, -torch.inf)  # what overflowed is no bound
        lower[:, part] = torch.maximum(lower[:, part], bound[:, :k])
        upper[:, part] = torch.minimum(upper[:, part], -bound[:, k:])
    return Interval(lower.reshape(pre.lower.shape), upper.reshape(pre.upper.shape)).meet(pre)


def alpha_crown(graph: Graph, box: Interval, coeff: Tensor | None = None, iterations: int = 20, lr: float = 0.25,
                intermediate: bool = True, charges: Charges | None = None) -> tuple[Tensor, Bounds]:
    """Lower bounds (n, r) of output rows `coeff` (identity when None) and the intervals used; box (n, *input shape)."""
    settings = {"iterations": iterations, "lr": lr}

    def refine(node: Node, name: str, known: Bounds) -> Interval:
        if intermediate:
            return _refine(graph, box, node, name, known, charges, settings)
        return refine_by_crown(graph, box, node, name, known, CROWN, charges)

    with torch.no_grad():
        bounds = forward(graph, box, refine)
        if coeff is None:
            shape = graph[graph.output].shape
            size = bounds[graph.output].lower[0].numel()
            coeff = identity_rows(shape, torch.arange(size, device=box.lower.device), (1.0,), box.lower)
    best, _ = optimise_rows(graph, box, graph.output, coeff, bounds, charges=charges, **settings)
    if intermediate:
        # Lines of a tighter interval need not be tighter everywhere, so CROWN's own bound can be ahead.
        with torch.no_grad():
            best = torch.fmax(best, crown(graph, box, coeff, CROWN, charges)[0])
    return best, bounds
