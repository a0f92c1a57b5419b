"""The two graph walks: forward with intervals, backward with rows. The only loops over nodes.

Rounding (`Charges`): when a row with coefficients A passes the output of a linear node v backwards, all roundings that
happen at v (in the rows, in the offset, and in the weights that simplification folded) change the final bound by at
most |A| . c_v with c_v = gamma (|W| m + |b|), m the magnitudes of the inputs of v. c_v depends only on the root box, so
one vector per node serves every subproblem; the walk adds up |A| . c_v.

Where float32 executions are meant (`Node.roundings`), c_v also holds what one may be off by at v, intervals are
widened by it, and magnitudes are those of executions: see `verify.bounds.noise`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from verify.bounds.noise import noise, widened
from verify.graph import Graph, Node
from verify.linear_form import LinearForm
from verify.ops import Input
from verify.sets import Interval, entries, gamma, underflow

Bounds = dict[str, Interval]
Charges = Mapping[str, Tensor]
Rule = Callable[[Node, Tensor], tuple[tuple[Tensor | None, ...], Tensor | None, Tensor | None]]
"""How rows on a nonlinear node become rows on its inputs: (coefficients for each input, None for none, offset (n, r) or
None, what rounding may have added by that (n, r) or None)."""
Refine = Callable[[Node, str, Bounds], Interval]


def forward(graph: Graph, box: Interval, refine: Refine | None = None, until: str | None = None,
            rounded: bool = True, into: Bounds | None = None) -> Bounds:
    """Interval of every node, in order (IBP). `refine(node, name, bounds)` may return a tighter interval for each input
    `name` of a nonlinear node just before it is used; `until` stops after that node. Without
    `rounded` nothing is charged for rounding: cheaper, differentiable, for training and never for a verdict. `into` is
    filled on the way."""
    bounds: Bounds = {} if into is None else into
    for node in graph.nodes:
        if isinstance(node.op, Input):
            bounds[node.name] = box
        else:
            if refine is not None and not node.op.linear:
                for name in dict.fromkeys(node.inputs):
                    bounds[name] = refine(node, name, bounds)
            inputs = [bounds[name] for name in node.inputs]
            bounds[node.name] = _image(node, inputs) if rounded else node.op.image(*inputs)
        if node.name == until:
            break
    return bounds


def _image(node: Node, inputs: list[Interval]) -> Interval:
    image = node.op.interval(*inputs)
    off = noise(node, inputs)
    return image if off is None else widened(image, off)


def charge(node: Node, bounds: Bounds) -> Tensor | None:
    """c_v of one node from intervals that hold on the root box; None where nothing is rounded."""
    own, executed = _own_charge(node, bounds), noise(node, [bounds[name] for name in node.inputs])
    if own is None or executed is None:
        return executed if own is None else own
    return own + executed


def _own_charge(node: Node, bounds: Bounds) -> Tensor | None:
    """What our own arithmetic may be off by."""
    if not node.op.linear or isinstance(node.op, Input) or getattr(node.op, "moves_only", False):
        return None  # nonlinear nodes: the rule tells what its lines lose
    return node.op.rounding(*(bounds[name].magnitude for name in node.inputs))


def charges(graph: Graph, bounds: Bounds) -> dict[str, Tensor]:
    """c_v for every node of the graph: (1, *shape) from bounds of one box, which then must contain all boxes that the
    charges are used for, or (n, *shape) from those of n boxes, for the same boxes in the same order."""
    found = {node.name: charge(node, bounds) for node in graph.nodes}
    return {name: value for name, value in found.items() if value is not None}


class GrowingCharges(Mapping):
    """The charges of nodes whose input bounds are known so far, from `bounds`, which grow while the graph is walked.

    CROWN's intervals charge far less than those of plain interval arithmetic, and have bounds where it has none."""

    def __init__(self, graph: Graph, bounds: Bounds) -> None:
        self.graph, self.bounds = graph, bounds
        self._found: dict[str, Tensor | None] = {}

    def __contains__(self, name: object) -> bool:
        return self._at(name) is not None

    def __getitem__(self, name: str) -> Tensor:
        cost = self._at(name)
        if cost is None:
            raise KeyError(name)
        return cost

    def _at(self, name: str) -> Tensor | None:
        if name not in self._found:
            self._found[name] = charge(self.graph[name], self.bounds)
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return (node.name for node in self.graph.nodes if node.name in self.bounds and node.name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def backward(graph: Graph, start: str, coeff: Tensor, rule: Rule, charges: Charges | None = None,
             rounded: bool = True) -> LinearForm:
    """Rows on node `start`, (n, r, *shape), walked back to the input. n may be 1 until a rule is batch dependent.
    Without `rounded` offsets are summed in the dtype of the rows: for training, where there are no `charges`."""
    pending: dict[str, Tensor] = {start: coeff}
    offset = coeff.new_zeros(coeff.shape[:2])
    error = mass = offset if charges is not None else None
    # Every reading of a value adds to its coefficients: its charge has two of these additions to spare.
    readings = max(1.0, max(map(len, graph.consumers.values())) / 4)
    position = next(k for k, node in enumerate(graph.nodes) if node.name == start)
    for node in reversed(graph.nodes[: position + 1]):
        rows = pending.pop(node.name, None)
        if rows is None:
            continue
        if isinstance(node.op, Input):
            return LinearForm(rows, offset.expand(rows.shape[:2]), _with_sums(error, mass, position))
        if error is not None and node.name in charges:
            with torch.no_grad():
                error = error + readings * _charged(entries(rows.detach(), 2), entries(charges[node.name], 1))
        if node.op.linear:
            below = node.op.pull_back(rows, graph.input_shapes(node))
            extra = node.op.pull_back_offset(rows, rounded)
        else:
            below, extra, lost = rule(node, rows)
            if error is not None and lost is not None:
                error = error + lost.detach()
        if extra is not None:
            offset = offset + extra
            mass = None if mass is None else mass + extra.detach().abs()
        for name, part in zip(node.inputs, below, strict=True):
            if part is None:
                continue
            pending[name] = pending[name] + part if name in pending else part
    # The rows do not depend on the input at all.
    shape = (*offset.shape, *graph.input.shape)
    return LinearForm(offset.new_zeros(shape), offset, _with_sums(error, mass, position))


def _with_sums(error: Tensor | None, mass: Tensor | None, nodes: int) -> Tensor | None:
    """`error` and what adding up the offsets of all nodes, `mass` in absolute values, and the errors can have lost."""
    if error is None:
        return None
    return (error + gamma(nodes, error.dtype) * mass) * (1 + gamma(2 * nodes, error.dtype))


def _charged(rows: Tensor, cost: Tensor) -> Tensor:
    """|rows| . cost for rows (n or 1, r, o) and costs (1, o), one vector for all domains, or (n, o): (n or 1, r).

    A coefficient whose products underflowed counts as `underflow`: the cost is at least eps times the value that it
    multiplies."""
    cost = cost.expand(-1, rows.shape[2])
    if cost.shape[0] == 1:
        return rows.abs() @ cost[0] + underflow(rows.dtype) * (1 + cost.sum())
    return (rows.abs() @ cost.unsqueeze(2)).squeeze(2) + underflow(rows.dtype) * (1 + cost.sum(1, keepdim=True))


def identity_rows(shape: tuple[int, ...], indices: Tensor, signs: tuple[float, ...], like: Tensor) -> Tensor:
    """Unit rows of the flat `indices`, once per sign: (1, len(signs) k, *shape)."""
    k = indices.numel()
    rows = like.new_zeros(len(signs) * k, math.prod(shape))
    for block, sign in enumerate(signs):
        rows[torch.arange(block * k, (block + 1) * k, device=indices.device), indices] = sign
    return rows.reshape(1, len(signs) * k, *shape)


def exact_by_intervals(graph: Graph, name: str) -> bool:
    """True when `name` is one mixing affine layer over the input box: intervals are already exact there."""
    mixing = 0
    for ancestor in graph.ancestors(name):
        node = graph[ancestor]
        if not node.op.linear:
            return False
        if not isinstance(node.op, Input) and (node.op.terms(*graph.input_shapes(node)) > 1 or len(node.inputs) > 1):
            mixing += type(node.op).__name__ != "Affine"
    return mixing <= 1
