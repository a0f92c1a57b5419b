"""What the checker computes, held against exact executions: whatever a proof could make it compute must enclose them.

An `Execution` has the values of all steps at one input as exact numbers: those of the real function or, for float32
semantics, those of one float32 execution with sums in a random order. `walk` goes down from the root of a random tree,
one random legal node after the other, along domains that contain some execution.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from verify.certificate.checker import nodes
from verify.certificate.checker.arithmetic import Dyadic, Exact
from verify.certificate.checker.bounds import reduced, whole, with_lemmas
from verify.certificate.checker.call import Step
from verify.certificate.checker.collapse import Collapsed, Collapser, FloatRows
from verify.certificate.checker.network import Network
from verify.certificate.checker.nodes import Context, Domain, Leaf
from verify.certificate.checker.ops import Dense, Input, Op, Relu, Scale, Smooth, Sum, Take

FLOAT = np.float32


def exact(value: Dyadic | float) -> Fraction:
    value = Dyadic.of(value)
    return Fraction(value.mantissa) * Fraction(2) ** value.exponent


@dataclass(frozen=True, eq=False)
class Execution:
    """`values`: per step a flat object array of fractions."""

    network: Network
    values: list[np.ndarray]

    def rows(self, rows: FloatRows) -> list[Fraction]:
        """The exact values of rows without errors."""
        y, x = self.values[-1], self.values[0]
        return [sum((Fraction(c) * v for c, v in zip(row, y, strict=True) if c), Fraction(constant))
                + sum((Fraction(c) * v for c, v in zip(more, x, strict=True) if c), Fraction(0))
                for row, more, constant in zip(rows.y.tolist(), rows.x.tolist(), rows.constant.tolist(), strict=True)]

    def layer(self, net: Collapsed, position: int) -> tuple[np.ndarray, np.ndarray]:
        """z and f(z) of a layer's unstable neurons."""
        layer = net.layers[position]
        step = self.network.nonlinear[layer.order]
        before = self.network.steps[step].inputs[0]
        return self.values[before][layer.neurons], self.values[step][layer.neurons]

    def columns(self, net: Collapsed) -> list[Fraction]:
        """v"""
        return [*self.values[0], *(y for k in range(len(net.layers)) for y in self.layer(net, k)[1])]

    def inside(self, domain: Domain) -> bool:
        net = domain.context.net
        z = [value for k in range(len(net.layers)) for value in self.layer(net, k)[0]]
        low, high = map(Fraction, domain.x_lower.tolist()), map(Fraction, domain.x_upper.tolist())
        return (all(a <= x <= b for a, x, b in zip(low, self.values[0], high, strict=True))
                and all(value * int(sign) >= 0 for value, sign in zip(z, domain.signs(), strict=True)))


def execute(network: Network, x: np.ndarray, rng: np.random.Generator | None = None) -> Execution:
    """At x (I,) float64, exactly, or in float32 as `rng` orders it."""
    values: list[np.ndarray] = []
    for step in network.steps:
        inputs = [values[i] for i in step.inputs]
        if isinstance(step.op, Input):
            y = Exact.lift(np.asarray(x, dtype=np.float64)).reshape(step.shape)
        elif isinstance(step.op, Relu):
            y = np.where(inputs[0] > 0, inputs[0], 0)
        elif isinstance(step.op, Smooth):
            z = Exact.below(inputs[0])
            y = np.tanh(z) if step.op.kind == "tanh" else 1 / (1 + np.exp(-z))
            y = Exact.lift(y if rng is None else y + 0.99 * 2.0**-20 * rng.choice([-1.0, 1.0], y.shape))
        elif rng is None or step.op.roundings is None:
            y = step.op.cast(Exact.lift).forward(inputs)
        else:
            y = _rounded(step.op, [Exact.below(v) for v in inputs], step.shape, rng)
        values.append(y)
    lift = np.frompyfunc(exact, 1, 1)
    return Execution(network, [np.asarray(lift(v), dtype=object).reshape(-1) for v in values])


def _rounded(op: Op, inputs: list[np.ndarray], shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Every entry as a float32 sum of float32 products in a random order, underflow flushed or not."""
    size = int(np.prod(shape))
    parts = op.pull(np.eye(size).reshape(size, *shape), [v.shape for v in inputs])
    weight, flat = np.concatenate([p.reshape(size, -1) for p in parts], 1), np.concatenate([v.ravel() for v in inputs])
    offset = op.offset()
    offset = np.zeros(size) if offset is None else np.broadcast_to(offset, shape).ravel()
    flush = bool(rng.integers(2))

    def rounded(value: float) -> float:
        value = float(FLOAT(value))
        return 0.0 if flush and abs(value) < 2.0**-126 else value

    found = np.zeros(size)
    for o in range(size):
        used = rng.permutation(np.flatnonzero(weight[o]))
        terms = [rounded(weight[o, k] * rounded(flat[k])) for k in used]
        terms.insert(int(rng.integers(len(terms) + 1)), rounded(offset[o]))
        for term in terms:
            found[o] = rounded(found[o] + term)
    return Exact.lift(found.reshape(shape))


def encloses(net: Collapsed, rows: FloatRows, run: Execution) -> None:
    """Every bound and every row of a collapsed network, at an execution inside its domain."""
    v = run.columns(net)
    for k, layer in enumerate(net.layers):
        z, _ = run.layer(net, k)
        for j, value in enumerate(z):
            assert Fraction(float(layer.lower[j])) <= value <= Fraction(float(layer.upper[j]))
        _near(layer.weight, layer.bias, layer.error, v[: layer.start], z)
    _near(net.weight, net.bias, net.error, v, run.rows(rows))


def _near(weight: np.ndarray, bias: np.ndarray, error: np.ndarray, v: list[Fraction], wanted: list[Fraction]) -> None:
    for row, b, e, value in zip(weight, bias, error.tolist(), wanted, strict=True):
        found = exact(b) + sum((exact(c) * x for c, x in zip(row, v, strict=True)), Fraction(0))
        assert abs(found - value) <= Fraction(e)


def random_leaf(rng: np.random.Generator, domain: Domain, disjuncts: list[list[int]], refresh: bool, joint: bool
                ) -> Leaf:
    """Any evidence that a proof could hold."""
    net = domain.context.net
    alpha = rng.integers(0, 256, nodes.alpha_size(net)).astype(np.uint8) if rng.integers(2) else None
    count = len(domain.split_columns())
    beta = _multipliers(rng, count) if rng.integers(2) else None
    weights = [_multipliers(rng, len(rows)) for rows in disjuncts] if joint else None
    return Leaf(domain, refresh, alpha, beta, weights)


def _multipliers(rng: np.random.Generator, count: int) -> np.ndarray:
    values = (rng.exponential(1.0, count) * rng.choice([0.0, 1.0, 1e-3, 1e20], count, p=[0.3, 0.5, 0.15, 0.05]))
    return nodes.decode_bfloat16((values.astype(FLOAT).view(np.uint32) >> 16).astype("<u2").tobytes())


def leaf_laws(rng: np.random.Generator, domain: Domain, rows: FloatRows, disjuncts: list[list[int]],
              runs: list[Execution]) -> float:
    """Random leaves: their margins are at most what any execution in the domain has. The least distance."""
    least = float("inf")
    for refresh, joint in ((False, False), (True, False), (False, True), (True, True)):
        leaves = [random_leaf(rng, domain, disjuncts, refresh, joint) for _ in range(3)]
        found = nodes.margins(domain.context.net, leaves, disjuncts)
        for run in runs:
            h = run.rows(rows)
            for leaf, margin in zip(leaves, found.tolist(), strict=True):
                if joint:
                    true = min(sum((Fraction(w) * h[r] for w, r in zip(weights.tolist(), members, strict=True)),
                                   Fraction(0)) for weights, members in zip(leaf.weights, disjuncts, strict=True))
                else:
                    true = min(max(h[r] for r in members) for members in disjuncts)
                assert margin < float("inf") and (margin == -float("inf") or Fraction(margin) <= true)
                least = min(least, float(true) - margin)
    return least


def step_down(rng: np.random.Generator, domain: Domain, run: Execution) -> Domain:
    """A random legal node, and its child that contains an execution."""
    net, kind = domain.context.net, rng.integers(5)
    if kind == 0:
        i = int(rng.integers(net.inputs))
        t = float(rng.uniform(domain.x_lower[i], domain.x_upper[i]))
        if domain.x_lower[i] < t < domain.x_upper[i]:
            return next(part for part in nodes.halves(domain, i, t) if run.inside(part))
    elif kind <= 2 and net.unstable:
        column = int(rng.integers(net.unstable))
        layer = next(k for k in net.layers if column < k.start - net.inputs + k.size)
        if layer.kind == "relu" and column not in domain.split_columns():
            return next(part for part in nodes.sides(domain, column) if run.inside(part))
    elif kind == 3:
        return nodes.reduced_domain(domain)
    elif net.layers and not domain.path:
        smaller = random_lemmas(rng, net)
        return Domain(Context(reduced(smaller, whole(smaller))), domain.x_lower, domain.x_upper, (), domain.depth + 1)
    return domain


def random_lemmas(rng: np.random.Generator, net: Collapsed) -> Collapsed:
    position = int(rng.integers(len(net.layers)))
    count = int(rng.integers(1, 2 * net.layers[position].size + 1))
    neurons, sides = rng.integers(0, net.layers[position].size, count), rng.integers(0, 2, count)
    prefix = net.prefixes[position]
    packed = rng.integers(0, 256, (count, nodes.alpha_size(prefix))).astype(np.uint8)
    alpha, upper = (np.stack(side) for side in zip(*(nodes.spread_alpha(prefix, p) for p in packed), strict=True))
    return with_lemmas(net, position, neurons, sides, alpha, upper)


def walk(rng: np.random.Generator, network: Network, lower: np.ndarray, upper: np.ndarray, arithmetic: type,
         float32: bool, points: np.ndarray, depth: int = 6) -> float:
    """One random way down a tree over the box, all laws on the way. The least distance of a margin to the truth."""
    outputs, inputs = int(np.prod(network.output_shape)), lower.size
    count = int(rng.integers(1, 4))
    y = rng.choice([-1.0, 0.0, 1.0, 0.3], (count, outputs))
    x = rng.choice([0.0, 0.0, 1.0, -0.7], (count, inputs))
    rows = FloatRows(y, x, rng.standard_normal(count), np.zeros_like(y), np.zeros_like(x), np.zeros(count))
    disjuncts = [sorted({int(r) for r in rng.integers(0, count, 2)}) for _ in range(2)]
    with np.errstate(all="ignore"):
        net = Collapser(network, lower, upper, arithmetic, float32).finish(rows)
        runs = [execute(network, x, rng if float32 else None) for x in points]
        domain, anchor, least = Domain(Context(net), lower, upper, (), 0), runs[int(rng.integers(len(runs)))], np.inf
        for _ in range(depth):
            here = [run for run in runs if run.inside(domain)]
            for run in here:
                encloses(domain.context.net, rows, run)
            least = min(least, leaf_laws(rng, domain, rows, disjuncts, here))
            domain = step_down(rng, domain, anchor)
    return least


def random_network(rng: np.random.Generator, kind: str = "relu", scale: float = 0.0) -> Network:
    """Steps of all kinds, without a file; weights are float32 numbers with magnitudes up to 2^+-scale."""
    steps = [Step("x", Input(), (), (1, int(rng.integers(1, 4))))]

    def add(op: Op, shape: tuple[int, ...], *inputs: int) -> int:
        steps.append(Step(f"step {len(steps)}", op, inputs, shape))
        return len(steps) - 1

    def draw(*shape: int) -> np.ndarray:
        values = rng.standard_normal(shape) * (rng.random(shape) < 0.8)
        values = values if rng.integers(2) else np.round(2 * values) / 2
        return (values * 2.0 ** np.round(scale * rng.uniform(-1, 1, shape))).astype(FLOAT).astype(np.float64)

    def dense(source: int, size: int) -> int:
        bias = draw(size) if rng.integers(4) else None
        return add(Dense(draw(size, steps[source].shape[1]), bias), (1, size), source)

    last = dense(0, int(rng.integers(2, 5)))
    for _ in range(int(rng.integers(1, 4))):
        size = steps[last].shape[1]
        after = add(Relu() if kind == "relu" or rng.integers(2) else Smooth(kind), (1, size), last)
        choice = rng.integers(5)
        if choice == 0:
            after = add(Sum((1, -1)), (1, size), after, last)
        elif choice == 1:
            after = add(Take(rng.integers(-1, 2 * size, (1, size + 2))), (1, size + 2), after, last)
        elif choice == 2:
            after = add(Scale(draw(1, size), draw(1, size)), (1, size), after)
        elif choice == 3:
            after = add(Sum((1, 1, 1)), (1, size), after, after, last)
        last = dense(after, int(rng.integers(2, 5)))
    return Network(tuple(steps), "float32", 13)


def random_points(rng: np.random.Generator, lower: np.ndarray, upper: np.ndarray, count: int) -> np.ndarray:
    """In the box, half of them corners; float32 numbers where the box has such limits."""
    share = np.where(rng.integers(2, size=(count, 1)), rng.random((count, lower.size)),
                     rng.integers(0, 2, (count, lower.size)))
    return np.clip((lower + share * (upper - lower)).astype(FLOAT).astype(np.float64), lower, upper)
