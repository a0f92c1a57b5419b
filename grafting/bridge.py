"""From the grafted network back to the original: how far apart the two can be on a box, and what follows from that.

A certificate is about the network that was verified, the grafted one. With d_j a lower bound over the box of

    (f_y - f_j) - (g_y - g_j),    f the original, g the grafted network, y the label, j another class,

the original has f_y > f_j wherever g_y - g_j > -d_j. So the verifier is asked for the stronger property of g, margins
above -d_j, and only its `verified` is passed on to f. The bounds d_j are rigorous (CROWN, then alpha-CROWN, on one
graph that holds both networks); they are usually loose, and then the answer is that the bridge does not suffice, which
says nothing about f.

In the graph of both, nodes that compute the same from the same are shared, and relu(z keep) is keep relu(z): below the
first layer with new weights or lines the two networks have the same relaxations, which cancel in the difference.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import torch
from torch import Tensor

from verify.bounds.ascent import AscentOptions
from verify.bounds.root import compact_root, refine, rigorous_rows
from verify.budget import Budget
from verify.errors import OutOfResources, ShapeMismatch
from verify.graph import Graph, Node
from verify.onnx_import import Network
from verify.onnx_import.simplify import simplify
from verify.ops import Affine, Concat, Input, Relu, Reshape
from verify.ops.base import Op
from verify.pipeline import Problem, solve
from verify.properties import robustness
from verify.query import Case, InputBox, LinearConstraint, Spec, lower, row_numbers
from verify.result import Result, Verdict

ITERATIONS = 20
SHARE = 0.5
"""The part of the time that the bounds of the difference may take."""


@dataclass(frozen=True, eq=False)
class Transfer:
    """`certified`: the original network has the property, too. `distances` (k - 1,): the rigorous lower bounds d_j over
    the other classes in order (-inf where none was found); `result` of the verifier on the grafted network with margins
    above -d_j, None where it was not asked; `reason` in words."""

    certified: bool
    reason: str
    distances: Tensor
    result: Result | None


def transfer(original: Network, grafted: Network, x: Tensor, eps: float, label: int,
             clip: tuple[float, float] | None = (0.0, 1.0), timeout: float = 30.0, seed: int = 0) -> Transfer:
    """Whether the original network provably answers `label` within `eps` of x (maximum norm, clipped), by way of the
    grafted one. Raises `ShapeMismatch` when the networks do not have the same inputs and outputs."""
    graph, budget = product(original.graph, grafted.graph), Budget.seconds(timeout)
    outputs = graph[graph.output].shape[0] // 2
    box = robustness(x, eps, label, outputs, clip).cases[0].box
    rivals = [j for j in range(outputs) if j != label]
    distances = row_bounds(graph, box, [margin_difference(label, j, outputs) for j in rivals],
                           budget.slice(SHARE * budget.remaining))
    if not bool(torch.isfinite(distances).all()):
        return Transfer(False, "the difference of the networks has no finite bound; the bridge does not suffice",
                        distances, None)
    disjuncts = tuple((_beaten_by_less(label, j, float(d)),) for j, d in zip(rivals, distances, strict=True))
    spec = Spec(box.lower.size, outputs, (Case(box, disjuncts),), "bridge")
    result = solve(Problem(grafted, spec), "portfolio", budget, "cpu", "float64", seed)
    least = float((-distances).max())
    if result.verdict is Verdict.VERIFIED:
        return Transfer(True, f"the grafted network's margins exceed the largest difference of margins ({least:.4g})",
                        distances, result)
    why = {Verdict.FALSIFIED: "do not exceed"}.get(result.verdict, "could not be shown to exceed")
    return Transfer(False, f"the grafted network's margins {why} the bound of the difference of margins ({least:.4g}); "
                    "the bridge does not suffice", distances, result)


def output_distance(original: Network, grafted: Network, box: InputBox, seconds: float = 30.0) -> tuple[Tensor, Tensor]:
    """Rigorous lower and upper bounds (k,) of original - grafted over the box, per output; infinite where none was
    found."""
    graph = product(original.graph, grafted.graph)
    k = graph[graph.output].shape[0] // 2
    rows = [LinearConstraint(((j, Fraction(sign)), (k + j, Fraction(-sign))), Fraction(0))
            for sign in (1, -1) for j in range(k)]
    below, above = row_bounds(graph, box, rows, Budget.seconds(seconds)).split(k)
    return below, -above


def margin_difference(label: int, rival: int, outputs: int) -> LinearConstraint:
    """(f_label - f_rival) - (g_label - g_rival) over the outputs of `product`."""
    terms = {label: 1, rival: -1, outputs + label: -1, outputs + rival: 1}
    return LinearConstraint(tuple((k, Fraction(c)) for k, c in sorted(terms.items())), Fraction(0))


def _beaten_by_less(label: int, rival: int, distance: float) -> LinearConstraint:
    """g_label - g_rival + distance <= 0: where nothing follows for the original."""
    terms = {label: 1, rival: -1}
    return LinearConstraint(tuple((k, Fraction(c)) for k, c in sorted(terms.items())), Fraction(distance))


def row_bounds(graph: Graph, box: InputBox, rows: Sequence[LinearConstraint], budget: Budget) -> Tensor:
    """Rigorous lower bounds (r,) float64 of rows over a box, -inf where none was found: CROWN, then alpha-CROWN as long
    as there is time."""
    case = Case(box, tuple((row,) for row in rows))
    query = lower(case, graph, Spec(box.lower.size, graph[graph.output].shape[0], (case,), "bridge"))
    place = [numbers[0] for numbers in row_numbers(case)]
    with torch.no_grad():
        try:
            root = compact_root(query.graph, query.interval(), torch.from_numpy(query.varying), budget.memory_bytes,
                                lambda: budget.expired)
        except (TimeoutError, OutOfResources):
            return torch.full((len(rows),), -torch.inf, dtype=torch.float64)
        found, options = root.row_lower, AscentOptions(ITERATIONS, lr_alpha=0.25)
        for network in (root.network, None):
            if budget.expired or not root.network.unstable:
                break
            network = network or refine(root.network, options, lambda: budget.expired)
            better = rigorous_rows(network, network.row_weight, network.row_bias, network.row_error, options,
                                   lambda: budget.expired)
            found = torch.maximum(found, better.double())
    return found.double()[place]


def product(original: Graph, grafted: Graph) -> Graph:
    """Both networks on one input, in float64 over the reals; the output (2k,) has the original's k entries first."""
    first, second = (simplify(graph.over_reals().to(dtype=torch.float64)) for graph in (original, grafted))
    shapes = [(graph.input.shape, graph[graph.output].shape) for graph in (first, second)]
    sizes = [tuple(torch.Size(shape).numel() for shape in pair) for pair in shapes]
    if sizes[0] != sizes[1]:
        raise ShapeMismatch(f"the original maps {shapes[0][0]} to {shapes[0][1]}, the grafted network {shapes[1][0]} "
                            f"to {shapes[1][1]}; they must have the same inputs and outputs")
    shared = _Shared(first.input)
    ends = []
    for prefix, graph in (("original", first), ("grafted", second)):
        end = shared.append(prefix, graph)
        ends.append(shared.add(Node(f"{prefix}:flat", Reshape((sizes[0][1],)), (end,), (sizes[0][1],))))
    shared.nodes.append(Node("both", Concat(0), tuple(ends), (2 * sizes[0][1],)))
    return Graph(tuple(shared.nodes), "both", first.device, torch.float64)


class _Shared:
    """Nodes under construction; what computes the same from the same is there once."""

    def __init__(self, source: Node):
        self.nodes = [source]
        self.known: dict[tuple, str] = {}
        self.by_name = {source.name: source}

    def append(self, prefix: str, graph: Graph) -> str:
        """Adds a graph's nodes; the name of its output here."""
        names: dict[str, str] = {}
        for node in graph.nodes:
            if isinstance(node.op, Input):
                source = self.nodes[0].name
                if node.shape != self.nodes[0].shape:
                    source = self.add(Node(f"{prefix}:input", Reshape(node.shape), (source,), node.shape))
                names[node.name] = source
            else:
                inputs = tuple(names[name] for name in node.inputs)
                names[node.name] = self.add(replace(node, name=f"{prefix}:{node.name}", inputs=inputs))
        return names[graph.output]

    def add(self, node: Node) -> str:
        """The name of a node that computes this: an old one where there is one."""
        node = self._masked(node)
        key = (_fingerprint(node.op), node.inputs, node.shape)
        if key not in self.known:
            self.known[key] = node.name
            self.nodes.append(node)
            self.by_name[node.name] = node
        return self.known[key]

    def _masked(self, node: Node) -> Node:
        """relu(s z) as s relu(z), for s >= 0 and where relu(z) is there already."""
        below = self.by_name[node.inputs[0]] if isinstance(node.op, Relu) else None
        if below is None or not isinstance(below.op, Affine) or below.op.scale is None:
            return node
        if below.op.shift is not None or below.op.shift_magnitude is not None or not bool((below.op.scale >= 0).all()):
            return node
        relu = self.known.get((_fingerprint(node.op), below.inputs, node.shape))
        return node if relu is None else replace(node, op=below.op, inputs=(relu,))


def _fingerprint(op: Op) -> tuple:
    """What an operator is, tensors by content."""
    parts: list[object] = [type(op).__name__]
    for field in dataclasses.fields(op):
        value = getattr(op, field.name)
        if isinstance(value, Tensor):
            content = hashlib.sha256(value.detach().cpu().contiguous().numpy().tobytes()).hexdigest()
            value = (str(value.dtype), tuple(value.shape), content)
        parts.append(value)
    return tuple(parts)
