"""How surely a counterexample is one: its violation over the reals, and how far rounding can move it.

onnxruntime decides whether a point is a counterexample (`verify.certificate.witness`); another runtime, or the same one
with other optimisations, rounds differently. So the disjunct that the witness satisfies best, rows h_r(x, y) <= 0, is
evaluated again, v = min_r -h_r:

    v over the reals     exactly (`verify.certificate.exact`) where all operators allow it, else enclosed in float64;
    v of any execution   in [least, most]: every operator that the file declares computed in its own float type, in any
                         order, with or without FMA (`verify.bounds.noise`), pushed to the output by intervals, and by
                         CROWN's backward rows, which lose far less in deep networks.

`robust`: least > 0. Every execution sees a violation, strictly. `fragile`: this is not shown. The label is information
about a verdict that stands; nothing here can change it, and what takes too long is left out with the reason.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import torch

from verify.bounds.crown import needs_bounds, output_form, refine_by_crown
from verify.bounds.noise import widened
from verify.bounds.walk import Bounds, Charges, charges, forward, identity_rows
from verify.budget import Budget
from verify.certificate.exact import exact_output
from verify.certificate.witness import nearest_cases, slack
from verify.errors import Float32Overflow, OutOfResources, UnsupportedOperator, VerifyError
from verify.graph import Graph, Node
from verify.onnx_import import Network
from verify.ops import Input, Product, SShaped
from verify.query import COMFORT, Case, Disjunct, LinearConstraint, Spec, lower
from verify.relaxations import CROWN
from verify.result import Result, Robustness, Witness
from verify.sets import Interval, gamma

RATE, SHARE, MOST_SECONDS = 1e9, 0.25, 5.0
"""Multiplications per second that a label is planned with, and how much of the time left, and at most, it may take."""

WALKS = 8
"""Evaluations of the network that intervals, charges and one backward pass cost together, about."""

FINER = 1e8
"""Backward rows that need more multiplications are left out where intervals already settle the label."""

REFINING = 1e10
"""Multiplications that tightening the intervals inside may take: batched, so about a second."""

EXACT_WORK = 3e8
"""Multiplications that exact arithmetic may take: about a tenth of a second."""

EXACT_OPERATORS = frozenset({
    "Abs", "Add", "Clip", "Concat", "Constant", "ConstantOfShape", "Conv", "ConvTranspose", "DepthToSpace", "Dropout",
    "Expand", "Flatten", "Gather", "GatherElements", "Gemm", "GlobalMaxPool", "Identity", "MatMul", "Max", "MaxPool",
    "Min", "Mul", "Neg", "Pad", "ReduceMax", "ReduceMin", "ReduceSum", "Relu", "Reshape", "Shape", "Size", "Slice",
    "SpaceToDepth", "Split", "Squeeze", "Sub", "Sum", "Tile", "Transpose", "Unsqueeze",
})
"""Operators whose graph holds exactly the numbers of the file. (Batch normalisations, averages and divisions hold
quotients, which are rounded to float64.)"""

# What evaluating a network may raise without being a fault of the verdict that is already there.
FAILURES = (VerifyError, MemoryError, RuntimeError, ArithmeticError, ValueError, LookupError)


@dataclass(frozen=True)
class Range:
    """An enclosure of v; `exact` where both ends are the same number, rounded outward."""

    least: float
    most: float
    exact: bool = False


def labelled(result: Result, network: Network, spec: Spec, budget: Budget) -> Result:
    """`result` with the label of its counterexample, if it has one; nothing else is changed."""
    if result.witness is None:
        return result
    return replace(result, witness=replace(result.witness, robustness=judge(network, spec, result.witness, budget)))


def judge(network: Network, spec: Spec, witness: Witness, budget: Budget) -> Robustness:
    """The label of `witness`. Raises nothing that running the network can raise: what fails is said in the label."""
    seconds = WALKS * _multiplications(network.graph) / RATE
    spare = min(MOST_SECONDS, SHARE * budget.remaining) - seconds
    if not spare > 0:
        return _unlabelled(f"it would take about {seconds:.1g} s")
    try:
        disjunct = _best_disjunct(spec, witness)
        if disjunct:
            return _judge(network, spec, witness, disjunct, min(REFINING, spare * RATE))
        return Robustness("robust", math.inf, math.inf, 0.0, True, "the property has no output condition here: every "
                          "output is unsafe")
    except FAILURES as error:
        return _unlabelled(" ".join(str(error).split())[:200] or type(error).__name__)


def _unlabelled(reason: str) -> Robustness:
    return Robustness("unlabelled", -math.inf, math.inf, math.inf, False, f"not compared with rounding: {reason}")


def _best_disjunct(spec: Spec, witness: Witness) -> Disjunct:
    """The disjunct with the largest violation at the runtime's output, among those of the boxes at the witness."""
    found = [disjunct for case in nearest_cases(witness.x, spec) for disjunct in case.disjuncts]
    values = spec.extended(witness.x, witness.y)
    return max(found, key=lambda disjunct: slack(disjunct, witness.x, values), default=())


def _multiplications(graph: Graph) -> float:
    return float(sum(node.op.terms(*graph.input_shapes(node)) * math.prod(node.shape)
                     for node in graph.nodes if node.op.linear and node.inputs))


def _judge(network: Network, spec: Spec, witness: Witness, disjunct: Disjunct, work: float) -> Robustness:
    scale = max(abs(c) for h in disjunct for c in (h.constant, *(c for _, c in (*h.y, *h.x))))
    if not Fraction(1, 1 << COMFORT) < scale < 1 << COMFORT:
        raise OutOfResources(f"coefficients of the property beyond 2 to the {COMFORT}")
    box = nearest_cases(witness.x, spec)[0].box
    over_reals, declared = (lower(Case(box, (disjunct,)), graph, spec).graph
                            for graph in (network.graph, network.declared))
    x = torch.from_numpy(witness.x.astype(np.float64)).reshape(1, *network.input_shape)
    point = Interval(x, x)
    # A cast back to float32 inside makes a network in double precision one of float32.
    double = network.double and "Cast" not in network.operators
    kind = "float64" if double else "float32"
    with torch.no_grad():
        real = _exactly(network, spec, witness.x, disjunct) or _violation(_rows(over_reals, point, 0.0))
        try:
            executed = _violation(_double_rows(declared, point) if double else _rows(declared, point, work))
        except Float32Overflow as error:
            return Robustness("fragile", real.least, real.most, math.inf, real.exact, str(error))
    return _label(real, executed, kind)


def _label(real: Range, executed: Range, kind: str) -> Robustness:
    moved = math.nextafter(max(real.most - executed.least, executed.most - real.least, 0.0), math.inf)
    robust = executed.least > 0
    bare = Robustness("robust" if robust else "fragile", real.least, real.most, moved, real.exact, "")
    size = f"{real.least:.3g} (exact)" if real.exact else f"between {real.least:.6g} and {real.most:.6g}"
    text = f"over the reals the violation is {size}; {kind} rounding in any order can change it by at most " \
           f"{bare.at_most}"
    if real.most < 0:
        text += "; over the reals this point is no counterexample"
    elif not robust:
        text += "; another runtime may not see it"
    return replace(bare, explanation=text)


def _exactly(network: Network, spec: Spec, x: np.ndarray, disjunct: Disjunct) -> Range | None:
    """v in rational arithmetic, or None where the operators or the work do not allow it."""
    # In double precision the factors alpha and beta of a Gemm do not multiply into the weights without rounding.
    allowed = EXACT_OPERATORS - {"Gemm"} if network.double else EXACT_OPERATORS
    if not network.operators.keys() <= allowed:
        return None
    try:
        y = spec.extended(x, exact_output(network.graph, x, EXACT_WORK))
    except (OutOfResources, UnsupportedOperator):
        return None
    v = min(-_value(h, x, y) for h in disjunct)
    near = float(v)
    return Range(near if near <= v else math.nextafter(near, -math.inf),
                 near if near >= v else math.nextafter(near, math.inf), exact=True)


def _value(h: LinearConstraint, x: np.ndarray, y: list[Fraction]) -> Fraction:
    return h.constant + sum(c * Fraction(float(x[k])) for k, c in h.x) + sum(c * y[k] for k, c in h.y)


def _violation(rows: Interval) -> Range:
    """v = min_r -h_r from intervals (1, R) of the rows; NaN would make a range that proves nothing."""
    least, most = -rows.upper.max(), -rows.lower.max()
    return Range(float(least.nan_to_num(nan=-math.inf)), float(most.nan_to_num(nan=math.inf)))


def _rows(graph: Graph, point: Interval, work: float) -> Interval:
    """Intervals (1, R) of the rows at a point, with what the graph's nodes charge for executions."""
    bounds = forward(graph, point)
    rows, count = bounds[graph.output], graph[graph.output].shape[0]
    if bool((rows.upper < 0).all()) and count * _multiplications(graph) > FINER:
        return rows
    rounding = charges(graph, bounds)
    unit = identity_rows((count,), torch.arange(count), (1.0, -1.0), point.lower)
    found = output_form(graph, _refined(graph, point, rounding, work), unit, charges=rounding).minimum(point)
    found = found.nan_to_num(nan=-math.inf, posinf=-math.inf, neginf=-math.inf)
    return Interval(found[:, :count], -found[:, count:]).meet(rows)


def _refined(graph: Graph, point: Interval, rounding: Charges, work: float) -> Bounds:
    """Intervals of all nodes at a point, those before nonlinear ones tightened by CROWN where `work` is left.

    Most neurons are far from 0 compared with rounding, so few need it, provided that all layers before were tight."""
    each = 2 * _multiplications(graph)

    def refine(node: Node, name: str, bounds: Bounds) -> Interval:
        nonlocal work
        pre = bounds[name]
        cost = each * int(needs_bounds(node, pre).numel())
        if cost > work:
            return pre
        work -= cost
        return refine_by_crown(graph, point, node, name, bounds, CROWN, rounding)

    return forward(graph, point, refine)


def _double_rows(graph: Graph, point: Interval) -> Interval:
    """Intervals of the rows over all float64 executions; sigmoid and tanh are taken to be as accurate as ours."""
    bounds: Bounds = {}
    for node in graph.nodes:
        bounds[node.name] = point if isinstance(node.op, Input) else _double_image(node, bounds)
    return bounds[graph.output]


def _double_image(node: Node, bounds: Bounds) -> Interval:
    """`Op.interval` charges one execution, ours: the terms of a sum and eight roundings. Another one may be as far off
    on the other side, and make `Node.roundings` more; twice that is added."""
    inputs = [bounds[name] for name in node.inputs]
    image = node.op.interval(*inputs)
    if node.roundings is None:
        return image
    if isinstance(node.op, SShaped):
        return widened(image, 2 * node.op.error(inputs[0].magnitude, image.magnitude))
    if isinstance(node.op, Product):
        return widened(image, (4 + node.roundings) * gamma(1, torch.float64) * image.magnitude)
    if not node.op.linear:
        raise UnsupportedOperator(f"node {node.name!r}: nothing is declared about the accuracy of "
                                  f"{type(node.op).__name__} in other runtimes")
    return widened(image, (2 + node.roundings / 8) * node.op.rounding(*(interval.magnitude for interval in inputs)))
