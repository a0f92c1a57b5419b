"""Bounds stay below what networks really do: every bound method on random networks and boxes, against the least values
that samples, corners and gradient descent find.

Methods: intervals, CROWN with each slope rule, CROWN on IBP bounds, random and optimised slopes, all intermediate
intervals, the collapsed network at its root, refined and reduced, its dual with random multipliers under random ReLU
splits, the LP of such a subproblem; and CROWN under the float32 semantics, against onnxruntime and random executions.
Bounds in float64 and float32; values in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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
from tests.soundness.executions import execute
from tests.soundness.random_networks import IMAGES, KINDS
from tests.soundness.random_networks import Builder as OnnxBuilder
from tests.verify.bounds.laws import rounding, varying, with_rows
from tests.verify.bounds.networks import ALL, low_points, mlp
from verify.bounds.alpha import alpha_crown
from verify.bounds.ascent import AscentOptions
from verify.bounds.crown import crown, crown_bounds
from verify.bounds.dual import DualParams, DualProblem
from verify.bounds.ibp import ibp
from verify.bounds.root import Root, compact_root, drop_stable, refine, rigorous_rows
from verify.errors import Float32Overflow
from verify.graph import Graph
from verify.lp import decide_leaf
from verify.onnx_import import from_bytes, simplify
from verify.relaxations import Relaxer
from verify.sets import Interval

BOXES, ROWS = 4, 3
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

    @cached_property
    def low(self) -> Tensor:
        """The least values found, (n, r)."""
        return low_points(self.exact, self.box, torch.eye(ROWS, dtype=torch.float64), 48, 10)

    @cached_property
    def roots(self) -> tuple[Root, ...]:
        return tuple(compact_root(self.graph, self.given[k : k + 1], varying(self.box[k : k + 1]))
                     for k in range(BOXES))


def random_onnx(number: int, seed: int) -> bytes:
    """A random network of one of the kinds of the ground truth tests."""
    rng = np.random.default_rng((seed, number))
    build = tuple(KINDS.values())[number % len(KINDS)]
    builder = OnnxBuilder(rng, (1, 1, 3, 3) if build in IMAGES else (1, int(rng.integers(1, 6))))
    return builder.model(*build(builder))


def subject(number: int, seed: int) -> Subject:
    """Graphs of primitives and imported networks in turns."""
    generator = torch.Generator().manual_seed(1000003 * seed + number)
    draw = 7919 * seed + number
    onnx = None
    if number % 2:
        onnx = random_onnx(number // 2, seed)
        graph = simplify(from_bytes(onnx).graph)
    elif number % 8 == 0:
        sizes = torch.randint(1, 9, (int(torch.randint(2, 6, (1,), generator=generator)),), generator=generator)
        graph = mlp(draw, tuple(sizes.tolist()))
    else:
        names = tuple(ALL)
        graph = ALL[names[number // 2 % len(names)]](draw)
    parts = [random_box(graph.input.shape, generator) for _ in range(BOXES)]
    box = Interval(torch.cat([p.lower for p in parts]).double(), torch.cat([p.upper for p in parts]).double())
    dtype = (torch.float64, torch.float32)[number // 3 % 2]
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
    alpha = {node.name: torch.rand(BOXES, *node.shape, generator=s.generator, dtype=torch.float64).to(s.dtype)
             for node in s.graph.nonlinear}
    return _crown(Relaxer(alpha=alpha))(s)


def _alpha(s: Subject) -> Tensor:
    bound, _ = alpha_crown(s.graph, s.given, None, 3, intermediate=False, charges=s.charges)
    return excess(bound.expand(BOXES, -1), s.low)


def _intermediate(s: Subject) -> Tensor:
    """The intervals of all nodes, CROWN's included."""
    bounds = crown_bounds(s.graph, s.given, charges=s.charges)
    worst = []
    for k in range(BOXES):
        points = random_points(s.box[k : k + 1], 60, s.generator)
        values = s.exact.values(points, bounds)
        gaps = []
        for name, found in bounds.items():
            one = found[k : k + 1] if found.lower.shape[0] == BOXES else found
            gaps.append(outside(one, values[name], SLACK * (1 + values[name].abs())))
        worst.append(max(gaps))
    return torch.tensor(worst, dtype=torch.float64)


def _root(s: Subject) -> Tensor:
    return excess(torch.stack([root.row_lower for root in s.roots]), s.low)


def _refined(s: Subject) -> Tensor:
    """alpha-CROWN at the intermediate layers, stable neurons dropped, rows optimised."""
    options, found = AscentOptions(iterations=3), []
    for root in s.roots:
        network = drop_stable(refine(root.network.to(dtype=torch.float64), options))
        found.append(rigorous_rows(network, network.row_weight, network.row_bias, network.row_error, options))
    return excess(torch.stack(found), s.low)


def _splits(s: Subject, root: Root, points: Tensor) -> tuple[Tensor, Tensor]:
    """Random ReLU splits that hold at the points (k, *shape), and the rows there: signs int8 (k, u), values (k, r)."""
    names = [s.exact[layer.node].inputs[0] for layer in root.network.layers]
    values = s.exact.values(points, names)
    z = [values[name].flatten(1)[:, layer.neurons] * (type(layer.op).__name__ == "Relu")
         for name, layer in zip(names, root.network.layers, strict=True)]
    signs = torch.cat([torch.sign(part) for part in z] or [points.new_zeros(len(points), 0)], 1)
    # A value of rounding size has no certain sign.
    sure = torch.cat([part.abs() > 1e-9 for part in z] or [torch.zeros(len(points), 0, dtype=torch.bool)], 1)
    kept = torch.rand(signs.shape, generator=s.generator) < torch.rand(len(points), 1, generator=s.generator)
    return (signs * (sure & kept)).to(torch.int8), values[s.exact.output]


def _dual(s: Subject) -> Tensor:
    """The dual bound of subproblems at random multipliers, against points of the subproblems."""
    worst = []
    for k, root in enumerate(s.roots):
        network = root.network.to(dtype=torch.float64)
        points = random_points(s.box[k : k + 1], 24, s.generator)
        signs, values = _splits(s, root, points)
        n, u = signs.shape

        def draw(width: int, n: int = n) -> Tensor:
            return torch.rand(n, width, generator=s.generator, dtype=torch.float64)

        weights = draw(ROWS) * (draw(ROWS) < 0.6)
        beta = draw(u) * 10.0 ** (4 * draw(1) - 3) * (signs != 0)
        params = DualParams(draw(u), draw(u), beta, weights)
        # NaN: no claim.
        bound = DualProblem.of(network).rigorous(params, signs).nan_to_num(nan=-torch.inf)
        worst.append(excess(bound.unsqueeze(1), (weights * values).sum(1, keepdim=True)).amax())
    return torch.stack(worst)


def _leaf(s: Subject) -> Tensor:
    """The LP of a subproblem, against a point of it: its largest row is at least the bound."""
    worst = []
    for k, root in enumerate(s.roots):
        points = random_points(s.box[k : k + 1], 1, s.generator)
        signs, values = _splits(s, root, points)
        leaf = decide_leaf(root.network.to(dtype=torch.float64), list(range(ROWS)), signs[0].numpy(), 5.0)
        worst.append(leaf.bound - float(values.max()) - SLACK * (1 + float(values.abs().max())))
    return torch.tensor(worst, dtype=torch.float64)


def _float32(s: Subject) -> Tensor:
    """CROWN under the float32 semantics: onnxruntime and random executions are not below its bounds, and onnxruntime is
    as near to the exact value as the running error says. (Graphs without a file: CROWN.)"""
    if s.onnx is None:
        return _crown(Relaxer("adaptive"))(s)
    network = from_bytes(s.onnx)
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
    "intermediate": _intermediate, "root": _root, "refined": _refined, "dual": _dual, "leaf": _leaf,
    "float32": _float32,
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


EXPERIMENT = Experiment("enclosure: bounds", "no bound is above a value of the network", run, lambda: 50_400,
                        10 * BOXES * len(METHODS))
