"""Bounds stay below what networks really do: every bound method on random networks and boxes, against the least values
that samples, corners and gradient descent find.

Networks: graphs of primitives, piecewise linear networks, and networks of any operators. Methods: intervals, CROWN with
each slope rule, CROWN on IBP bounds, random and optimised lines, all intermediate intervals, the collapsed network at
its root, refined and reduced, its dual with random multipliers under random ReLU splits, and under random cuts of the
ranges of values; the LP of a subproblem; and CROWN under the float32 semantics, against onnxruntime and random
executions. Bounds in float64 and float32; values in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from benchmarks.soundness.experiment import Experiment
from benchmarks.soundness.operators import outside, runtime
from benchmarks.soundness.questions import ERRORS
from benchmarks.soundness.sampling import float32_error, float32_numbers, random_box, random_points
from benchmarks.soundness.tally import Recorder, Tally
from tests.soundness.enclosure import ACCURACY, boxes
from tests.soundness.executions import execute
from tests.soundness.operator_networks import network as operator_network
from tests.soundness.random_networks import IMAGES, KINDS
from tests.soundness.random_networks import Builder as OnnxBuilder
from tests.soundness.running_error import running_error
from tests.soundness.search import descended, spread_points
from tests.verify.bounds.laws import arguments, rounding, varying, with_rows
from tests.verify.bounds.networks import ALL, mlp
from verify.bounds.alpha import alpha_crown
from verify.bounds.ascent import AscentOptions
from verify.bounds.compact import CompactNetwork
from verify.bounds.crown import crown, crown_bounds
from verify.bounds.dual import DualParams, DualProblem
from verify.bounds.ibp import ibp
from verify.bounds.lines import Cuts, DualLines
from verify.bounds.noise import undeclared
from verify.bounds.root import Root, compact_root, drop_stable, refine, rigorous_rows
from verify.errors import Float32Overflow, Unbounded
from verify.graph import Graph
from verify.lp import decide_leaf
from verify.onnx_import import from_bytes, simplify
from verify.ops import Relu, SShaped
from verify.relaxations import Relaxer
from verify.sets import Interval, entries

BOXES, ROWS = 4, 3
RADII = (0.1, 0.5, 1.0, 1.0)
"""Of the box that a network of any operators was drawn for."""
SLACK = 1e-12  # relative: what the float64 evaluation of the network itself may be off


@dataclass(frozen=True, eq=False)
class Subject:
    """One network ending in rows (`exact` in float64, `graph` in the dtype of the bounds), BOXES boxes (n, *shape)."""

    exact: Graph
    dtype: torch.dtype
    box: Interval
    generator: torch.Generator
    onnx: bytes | None = None

    @cached_property
    def graph(self) -> Graph:
        return self.exact.to(dtype=self.dtype)

    @cached_property
    def given(self) -> Interval:
        """The boxes in the bounds' dtype; their ends are float32 numbers."""
        return Interval(self.box.lower.to(self.dtype), self.box.upper.to(self.dtype))

    @cached_property
    def charges(self):
        return rounding(self.graph, self.given)

    def certain(self, points: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Values at points (k, *shape), and what their float64 evaluation may be off by."""
        with torch.no_grad():
            return running_error(self.exact, points, torch.float64, ACCURACY)

    @cached_property
    def low(self) -> Tensor:
        """The least values found, as far as they are certain: (n, r), inf where there is none."""
        starts = spread_points(self.box, 48, self.generator)
        points = torch.cat([starts, descended(self.exact, self.box, starts, torch.eye(ROWS).double(), 10)], 1)
        values, errors = self.certain(points.flatten(0, 1))
        return self.upper_ends(values, errors).reshape(BOXES, -1, ROWS).amin(1)

    def upper_ends(self, values: dict[str, Tensor], errors: dict[str, Tensor]) -> Tensor:
        """The rows where the exact values certainly are below: (k, r), inf where there are none."""
        return (values[self.exact.output] + errors[self.exact.output]).nan_to_num(nan=torch.inf)

    @cached_property
    def roots(self) -> tuple[Root | None, ...]:
        """One per box; None where a value has no bounds."""
        return tuple(self._root(k) for k in range(BOXES))

    def _root(self, k: int) -> Root | None:
        try:
            return compact_root(self.graph, self.given[k : k + 1], varying(self.box[k : k + 1]))
        except Unbounded:
            return None


def random_onnx(number: int, seed: int) -> bytes:
    """A random network of one of the kinds of the ground truth tests."""
    rng = np.random.default_rng((seed, number))
    build = tuple(KINDS.values())[number % len(KINDS)]
    builder = OnnxBuilder(rng, (1, 1, 3, 3) if build in IMAGES else (1, int(rng.integers(1, 6))))
    return builder.model(*build(builder))


def subject(number: int, seed: int) -> Subject:
    """Graphs of primitives, piecewise linear networks, and networks of any operators in turns."""
    generator = torch.Generator().manual_seed(1000003 * seed + number)
    draw = 7919 * seed + number
    dtype = (torch.float64, torch.float32)[number // 3 % 2]
    onnx = None
    if number % 4 == 3:
        drawn = operator_network((seed, number), most=6)
        graph = with_rows(simplify(from_bytes(drawn.onnx).graph), draw % 1000, ROWS)
        return Subject(graph, dtype, boxes(drawn, RADII, generator), generator, drawn.onnx)
    if number % 4 == 1:
        onnx = random_onnx(number // 4, seed)
        graph = simplify(from_bytes(onnx).graph)
    elif number % 8 == 0:
        sizes = torch.randint(1, 9, (int(torch.randint(2, 6, (1,), generator=generator)),), generator=generator)
        graph = mlp(draw, tuple(sizes.tolist()))
    else:
        names = tuple(ALL)
        graph = ALL[names[number // 2 % len(names)]](draw)
    parts = [random_box(graph.input.shape, generator) for _ in range(BOXES)]
    box = Interval(torch.cat([p.lower for p in parts]).double(), torch.cat([p.upper for p in parts]).double())
    return Subject(with_rows(graph, draw % 1000, ROWS), dtype, box, generator, onnx)


Method = Callable[[Subject], Tensor]
"""How far a claim is beyond a true value, per box (n,); at most 0 when nothing is wrong, NaN counts as wrong."""


def excess(bound: Tensor, values: Tensor) -> Tensor:
    """Bounds (n, r) against values (n, r) that they must not exceed: (n,)."""
    gap = bound.double() - values - SLACK * (1 + values.abs())
    return gap.nan_to_num(nan=torch.inf, neginf=-torch.inf).flatten(1).amax(1)


def _ibp(s: Subject) -> Tensor:
    return excess(ibp(s.graph, s.given)[s.graph.output].lower.flatten(1).expand(BOXES, -1), s.low)


def _crown(relaxer: Relaxer, intermediate: str = "crown") -> Method:
    def method(s: Subject) -> Tensor:
        return excess(crown(s.graph, s.given, None, relaxer, s.charges, intermediate)[0].expand(BOXES, -1), s.low)

    return method


def _random_alpha(s: Subject) -> Tensor:
    """Lower slopes of ReLUs; both lines of curves and both planes of products."""
    alpha = {}
    for node in s.graph.nonlinear:
        sides = () if isinstance(node.op, Relu) else (2,)
        drawn = torch.rand(*sides, BOXES, *node.shape, generator=s.generator, dtype=torch.float64)
        alpha[node.name] = drawn.to(s.dtype)
    return _crown(Relaxer(alpha=alpha))(s)


def _alpha(s: Subject) -> Tensor:
    bound, _ = alpha_crown(s.graph, s.given, None, 3, intermediate=False, charges=s.charges)
    return excess(bound.expand(BOXES, -1), s.low)


def _intermediate(s: Subject) -> Tensor:
    """The intervals of all nodes, CROWN's included."""
    bounds = crown_bounds(s.graph, s.given, charges=s.charges)
    worst = []
    for k in range(BOXES):
        values, errors = s.certain(random_points(s.box[k : k + 1], 60, s.generator))
        gaps = []
        for name, found in bounds.items():
            one = found[k : k + 1] if found.lower.shape[0] == BOXES else found
            # Where there is no value, nothing is claimed.
            value, slack = values[name].nan_to_num(nan=0.0), torch.where(values[name].isnan(), torch.inf, errors[name])
            gaps.append(outside(one, value, slack + SLACK * (1 + value.abs())))
        worst.append(max(gaps))
    return torch.tensor(worst, dtype=torch.float64)


def _root(s: Subject) -> Tensor:
    return excess(torch.stack([s.low.new_full((ROWS,), -torch.inf) if root is None else root.row_lower.double()
                               for root in s.roots]), s.low)


def _refined(s: Subject) -> Tensor:
    """alpha-CROWN at the intermediate layers, stable neurons dropped, rows optimised."""
    options, found = AscentOptions(iterations=3), []
    for root in s.roots:
        if root is None:
            found.append(s.low.new_full((ROWS,), -torch.inf))
            continue
        network = drop_stable(refine(root.network.to(dtype=torch.float64), options))
        found.append(rigorous_rows(network, network.row_weight, network.row_bias, network.row_error, options))
    return excess(torch.stack(found), s.low)


def _splits(s: Subject, root: Root, points: Tensor) -> tuple[Tensor | None, Tensor]:
    """Random ReLU splits that hold at the points (k, *shape), and the rows there: signs int8 (k, u), values (k, r).
    None where neurons have several arguments."""
    values, errors = s.certain(points)
    rows = s.upper_ends(values, errors)
    if root.network.arguments != root.network.unstable or any(layer.reads is not None for layer in root.network.layers):
        return None, rows
    names = [s.exact[layer.node].inputs[0] for layer in root.network.layers]
    read = [[entries(values[name], 1)[:, layer.neurons], entries(errors[name], 1)[:, layer.neurons],
             torch.full((len(points), layer.size), isinstance(layer.op, Relu))]
            for name, layer in zip(names, root.network.layers, strict=True)]
    nothing = points.new_zeros(len(points), 0)
    z, off, relu = (torch.cat(parts, 1) for parts in zip(*read, strict=True)) if read else (nothing,) * 3
    # A value within its error has no certain sign.
    sure = (z.abs() > off) & (z.abs() > 1e-9) & relu.bool()
    kept = torch.rand(z.shape, generator=s.generator) < torch.rand(len(points), 1, generator=s.generator)
    return (torch.sign(z).nan_to_num() * (sure & kept)).to(torch.int8), rows


def _drawn_params(s: Subject, network: CompactNetwork, n: int) -> DualParams:
    """Random multipliers of all sizes, weights of some rows."""
    def draw(width: int) -> Tensor:
        return torch.rand(n, width, generator=s.generator, dtype=torch.float64)

    beta = draw(network.arguments) * 10.0 ** (4 * draw(1) - 3)
    return DualParams(draw(network.unstable), draw(network.unstable), beta, draw(ROWS) * (draw(ROWS) < 0.6))


def _below(bound: Tensor, params: DualParams, rows: Tensor) -> Tensor:
    """Bounds (k,) of weighted rows against their values (k, r); NaN is no claim."""
    weighted = torch.where(params.weights > 0, params.weights * rows, 0.0).sum(1, keepdim=True)
    return excess(bound.nan_to_num(nan=-torch.inf).unsqueeze(1), weighted).amax()


def _dual(s: Subject) -> Tensor:
    """The dual bound of subproblems at random multipliers, against points of the subproblems."""
    worst = []
    for k, root in enumerate(s.roots):
        if root is None:
            worst.append(s.low.new_full((), -torch.inf))
            continue
        network = root.network.to(dtype=torch.float64)
        signs, rows = _splits(s, root, random_points(s.box[k : k + 1], 24, s.generator))
        params = _drawn_params(s, network, len(rows))
        params = replace(params, beta=params.beta * (0 if signs is None else signs != 0))
        worst.append(_below(DualProblem.of(network).rigorous(params, signs), params, rows))
    return torch.stack(worst)


def _cuts(s: Subject) -> Tensor:
    """Ranges of values cut at random, multipliers of either sign, against points inside all cuts."""
    worst = []
    for k, root in enumerate(s.roots):
        if root is None:
            worst.append(s.low.new_full((), -torch.inf))
            continue
        network, points = root.network.to(dtype=torch.float64), random_points(s.box[k : k + 1], 24, s.generator)
        at = arguments(s.exact, network, points)
        rows = s.upper_ends(*s.certain(points))
        rows = torch.where(at.isfinite().all(1, keepdim=True), rows, torch.inf)
        share = torch.rand(at.shape, generator=s.generator, dtype=torch.float64)
        kind = torch.randint(0, 5, at.shape, generator=s.generator)
        # A little room for what the arguments' evaluation is off by.
        low = torch.where(kind == 0, network.lower + share * (at - network.lower) - 1e-7 * (1 + at.abs()), -torch.inf)
        high = torch.where(kind == 1, network.upper - share * (network.upper - at) + 1e-7 * (1 + at.abs()), torch.inf)
        low, high = low.nan_to_num(nan=-torch.inf), high.nan_to_num(nan=torch.inf)
        lines = DualLines.of(network, torch.maximum(network.lower, low.minimum(network.upper)),
                             torch.minimum(network.upper, high.maximum(network.lower)))
        params = _drawn_params(s, network, len(points))
        sign = 1 - 2 * torch.randint(2, params.beta.shape, generator=s.generator)
        params = replace(params, beta=params.beta * sign)
        worst.append(_below(DualProblem(network, lines).rigorous(params, cuts=Cuts(low, high)), params, rows))
    return torch.stack(worst)


def _leaf(s: Subject) -> Tensor:
    """The LP of a subproblem, against a point of it: its largest row is at least the bound. (Of ReLUs, sigmoid and
    tanh.)"""
    worst = []
    for k, root in enumerate(s.roots):
        points = random_points(s.box[k : k + 1], 1, s.generator)
        if root is None or not all(isinstance(layer.op, (Relu, SShaped)) for layer in root.network.layers):
            worst.append(-torch.inf)
            continue
        signs, rows = _splits(s, root, points)
        leaf = decide_leaf(root.network.to(dtype=torch.float64), list(range(ROWS)), signs[0].numpy(), 5.0)
        worst.append(leaf.bound - float(rows.max()) - SLACK * (1 + float(rows.abs().max())))
    return torch.tensor(worst, dtype=torch.float64)


def _float32(s: Subject) -> Tensor:
    """CROWN under the float32 semantics: onnxruntime and random executions are not below its bounds, and onnxruntime is
    as near to the exact value as the running error says. (Graphs without a file, or of operators without a declared
    accuracy: CROWN.)"""
    network = None if s.onnx is None else from_bytes(s.onnx)
    if network is None or network.double or undeclared(network.declared):
        return _crown(Relaxer("adaptive"))(s)
    graph, declared, session, worst = network.graph, network.declared, runtime(s.onnx), []
    try:
        found, _ = crown(declared, s.box, charges=rounding(declared, s.box))
    except Float32Overflow:
        return torch.full((BOXES,), -torch.inf)  # no claim
    rng = np.random.default_rng(int(torch.randint(1 << 30, (1,), generator=s.generator)))
    for k in range(BOXES):
        x = float32_numbers(random_points(s.box[k : k + 1], 6, s.generator), s.box[k : k + 1])
        y = np.stack([session.run(None, {"x": row.numpy().astype(np.float32)})[0].reshape(-1) for row in x])
        drawn = np.stack([execute(declared, row.numpy(), rng)[declared.output].reshape(-1) for row in x[:2]])
        error = float32_error(graph, x)[graph.output].flatten(1).expand(len(x), -1)
        y, drawn = torch.from_numpy(y.astype(np.float64)), torch.from_numpy(drawn)
        claims = [found[k if found.shape[0] > 1 else 0] - torch.cat([y, drawn])]
        claims.append((y - graph.evaluate(x).flatten(1)).abs() - error)
        worst.append(torch.cat(claims).nan_to_num(nan=torch.inf, neginf=-torch.inf).max())
    return torch.stack(worst)


METHODS: MappingProxyType[str, Method] = MappingProxyType({
    "ibp": _ibp, "crown": _crown(Relaxer("adaptive")), "parallel": _crown(Relaxer("parallel")),
    "zero": _crown(Relaxer("zero")), "one": _crown(Relaxer("one")),
    "crown-ibp": _crown(Relaxer("adaptive"), "ibp"), "random alpha": _random_alpha, "alpha": _alpha,
    "intermediate": _intermediate, "root": _root, "refined": _refined, "dual": _dual, "cuts": _cuts,
    "leaf": _leaf, "float32": _float32,
})


def run(cases: range, seed: int) -> Tally:
    """Case k: box k % 4, method k // 4 in turns, network k // (4 methods)."""
    record, names, group = Recorder(), tuple(METHODS), BOXES * len(METHODS)
    asked: tuple[int, str] | None = None
    for k in cases:
        number, name = k // group, names[k // BOXES % len(names)]
        if asked is None or asked[0] != number:
            s = subject(number, seed)
        if asked != (number, name):
            asked = (number, name)
            with torch.no_grad():
                try:
                    worst = METHODS[name](s)
                except ERRORS as error:
                    record.count(f"{name}: error {type(error).__name__}")
                    worst = torch.zeros(BOXES)
        record.tried()
        if not worst[k % BOXES] <= 0:
            record.wrong(k, f"{name} in {s.dtype} on network {number}: a claim is {float(worst[k % BOXES]):.3g} beyond "
                            "a true value", **({"network__onnx": s.onnx} if s.onnx else {}))
    return record.result()


EXPERIMENT = Experiment("enclosure: bounds", "no bound is above a value of the network", run, lambda: 54_000,
                        10 * BOXES * len(METHODS))
