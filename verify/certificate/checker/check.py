"""Walks a proof: every case, every tree, every leaf. What is accepted, is proved.

The walk keeps for each open node its domain (box, sides of split neurons) and the collapsed network that holds on it.
Both children of a split cover their parent by construction, so a tree whose leaves all have a positive bound proves
its disjuncts on the whole box. Leaves are collected and bounded in batches.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from verify.certificate.checker.arithmetic import ARITHMETICS
from verify.certificate.checker.bounds import (
    Domains,
    default_alpha,
    lines,
    minimum,
    reduced,
    refreshed,
    smooth_columns,
    whole,
    with_lemmas,
)
from verify.certificate.checker.collapse import Collapsed, Collapser, FloatRows
from verify.certificate.checker.errors import Rejected
from verify.certificate.checker.network import Network, load_network
from verify.certificate.checker.spec import Case, Row, enclose, read_spec
from verify.certificate.checker.stream import BodyReader, Container

INPUT_SPLIT, RELU_SPLIT, REDUCE, LEMMAS, LEAF = 1, 2, 3, 4, 5
REFRESH, OWN_ALPHA, SENT_ALPHA, BETA, WEIGHTS = 1, 2, 4, 8, 16
BATCH_ENTRIES, MOST_LEAVES = 2**21, 1024
DEEPEST = 100_000


@dataclass(frozen=True)
class Report:
    """What was proved, and how much of it was checked. `smallest_margin` is that of the leaves that were bounded."""

    semantics: str
    cases: int
    disjuncts: int
    trees: int
    leaves: int
    checked: int
    smallest_margin: float
    deepest: int
    body_bytes: int
    seconds: float


@dataclass(eq=False)
class Context:
    """A collapsed network with the leaves that wait to be bounded on it, and the alpha vectors sent for it."""

    net: Collapsed
    leaves: list[Leaf] = field(default_factory=list)
    alphas: list[np.ndarray] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Domain:
    """One open node: box (I,), the split columns with their sides in the order of the path, depth."""

    context: Context
    x_lower: np.ndarray
    x_upper: np.ndarray
    path: tuple[tuple[int, int], ...]
    depth: int

    def signs(self) -> np.ndarray:
        """Sides of all columns, (U,) int8: 1, -1, or 0 for those that are not split."""
        signs = self.context.net.signs.copy()
        for column, sign in self.path:
            signs[column] = sign
        return signs

    def split_columns(self) -> list[int]:
        """The split columns in the order of their multipliers: those of the collapsed network, then the path."""
        return [*np.flatnonzero(self.context.net.signs).tolist(), *(column for column, _ in self.path)]


@dataclass(frozen=True, eq=False)
class Leaf:
    """Evidence of one leaf: `alpha` a packed vector or None, `beta` over `Domain.split_columns`, `weights` per disjunct."""

    domain: Domain
    refresh: bool
    alpha: np.ndarray | None
    beta: np.ndarray | None
    weights: list[np.ndarray] | None


def float_rows(rows: Sequence[Row], inputs: int, outputs: int) -> FloatRows:
    """Exact rows as float64 numbers with the distance to the exact ones."""
    values = {"y": np.zeros((len(rows), outputs)), "x": np.zeros((len(rows), inputs))}
    errors = {name: np.zeros_like(array) for name, array in values.items()}
    constant, constant_error = np.zeros(len(rows)), np.zeros(len(rows))
    for r, row in enumerate(rows):
        for name, terms in (("y", row.y), ("x", row.x)):
            total: dict[int, Fraction] = {}
            for k, c in terms:
                total[k] = total.get(k, Fraction(0)) + c
            for k, c in total.items():
                values[name][r, k], errors[name][r, k] = _nearby(c)
        constant[r], constant_error[r] = _nearby(row.constant)
    return FloatRows(values["y"], values["x"], constant, errors["y"], errors["x"], constant_error)


def _nearby(value: Fraction) -> tuple[float, float]:
    """A float64 number and how far it is from the exact one, at most."""
    below, above = enclose(value)
    return below, 0.0 if below == above else (above - below) * 1.0000001


def unique_rows(case: Case) -> tuple[list[Row], list[list[int]]]:
    """The distinct rows of a case in order, and per disjunct the indices of its rows."""
    index: dict[Row, int] = {}
    members = [[index.setdefault(row, len(index)) for row in disjunct] for disjunct in case.disjuncts]
    return list(index), members


def outer_box(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """The box of a case rounded outward: two arrays (I,) float64."""
    return (np.array([enclose(v)[0] for v in case.lower]), np.array([enclose(v)[1] for v in case.upper]))


def is_empty(case: Case) -> bool:
    return any(low > high for low, high in zip(case.lower, case.upper, strict=True))


def spread_alpha(net: Collapsed, packed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A packed alpha vector as (lower positions, upper positions), each (U,) in [0, 1]."""
    values = (packed.astype(np.float64) + (packed == 255)) / 256
    position = np.zeros(net.unstable)
    position[smooth_columns(net)] = values[net.unstable :]
    return values[: net.unstable], position


def alpha_size(net: Collapsed) -> int:
    """Bytes of an alpha vector: one per column, and one more per smooth neuron for its upper line."""
    return net.unstable + int(smooth_columns(net).sum())


def batch_of(domains: Sequence[Domain]) -> Domains:
    """Domains of one context as a batch, with the bounds that hold on all of them."""
    net = domains[0].context.net
    lower, upper = (np.repeat(net.joined(side)[None], len(domains), 0) for side in ("lower", "upper"))
    return Domains(np.stack([d.x_lower for d in domains]), np.stack([d.x_upper for d in domains]), lower, upper,
                   np.stack([d.signs() for d in domains]))


def margins(net: Collapsed, leaves: Sequence[Leaf], disjuncts: Sequence[Sequence[int]]) -> np.ndarray:
    """Rigorous margins (n,) of leaves of one kind (refreshed or not, with weights or without) on `net`: the least over
    the disjuncts (lists of row indices), infinity where the domain is proved to be empty."""
    n, u = len(leaves), net.unstable
    domains, empty = batch_of([leaf.domain for leaf in leaves]), np.zeros(n, dtype=bool)
    if leaves[0].refresh:
        domains, empty = refreshed(net, domains)
    alpha, position, beta = default_alpha(net, domains), np.zeros((n, u)), np.zeros((n, u))
    for k, leaf in enumerate(leaves):
        if leaf.alpha is not None:
            alpha[k], position[k] = spread_alpha(net, leaf.alpha)
        if leaf.beta is not None:
            beta[k, leaf.domain.split_columns()] = leaf.beta
    line = lines(net, domains, alpha, position)
    return np.where(empty, np.inf, _least(net, domains, line, beta, leaves, disjuncts))


def _least(net: Collapsed, domains: Domains, line, beta: np.ndarray, leaves: Sequence[Leaf],
           disjuncts: Sequence[Sequence[int]]) -> np.ndarray:
    """Per domain the least over the disjuncts of their combined row, or of their best row."""
    least = np.full(len(leaves), np.inf)
    single: dict[int, np.ndarray] = {}
    for d, rows in enumerate(disjuncts):
        if leaves[0].weights is not None:
            found = minimum(net, domains, line, *_combined(net, rows, np.stack([leaf.weights[d] for leaf in leaves])),
                            beta)
        else:
            for r in rows:
                if r not in single:
                    row = net.weight[r][None], net.bias[r : r + 1], net.error[r : r + 1]
                    single[r] = minimum(net, domains, line, *row, beta)
            found = np.max([single[r] for r in rows], axis=0) if rows else np.full(len(leaves), -np.inf)
        least = np.minimum(least, np.where(np.isfinite(found), found, -np.inf))
    return least


def _combined(net: Collapsed, rows: Sequence[int], weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows combined with non-negative weights (n, rows): their sum is positive only where one of them is."""
    a, rows = net.arithmetic, list(rows)
    factor = a.lift(weights)
    error = weights @ net.error[rows]
    if not a.exact:
        size = np.abs(net.weight[rows]) @ net.reach + np.abs(net.bias[rows])
        error = error + a.gamma(len(rows)) * (weights @ (size + net.error[rows]))
    return factor @ net.weight[rows], factor @ net.bias[rows], error * (1 + 2.0**-40)


class Checker:
    """One pass over a proof's body. `progress(leaves so far)` is called now and then."""

    def __init__(self, network: Network, body: BodyReader, arithmetic: type, float32: bool,
                 chosen: set[int] | None = None, progress: Callable[[int], None] = lambda leaves: None):
        self.network, self.body, self.arithmetic, self.float32 = network, body, arithmetic, float32
        self.chosen, self.progress = chosen, progress
        self.leaves = self.checked = self.trees = self.deepest = 0
        self.smallest = float("inf")

    def case(self, number: int, case: Case) -> None:
        """One input box with its disjuncts. Raises `Rejected`."""
        kind = self.body.u8()
        if kind != (0 if is_empty(case) else 1):
            raise Rejected(f"case {number}: the proof takes it for {'an empty' if kind == 0 else 'a non-empty'} box")
        if kind == 0:
            return
        rows, members = unique_rows(case)
        lower, upper = outer_box(case)
        sizes = len(lower), int(np.prod(self.network.output_shape))
        net = Collapser(self.network, lower, upper, self.arithmetic, self.float32).finish(float_rows(rows, *sizes))
        groups = self.body.varint()
        for _ in range(groups):
            net = self._lemmas(net)
        if groups:
            net = reduced(net, whole(net))
        open_ = set(range(len(members)))
        for _ in range(self.body.varint()):
            mine = [self.body.varint() for _ in range(self.body.varint())]
            if not mine or len(set(mine)) != len(mine) or not set(mine) <= open_:
                raise Rejected(f"case {number}: a tree is for disjuncts {mine}; open are {sorted(open_)[:10]}")
            open_ -= set(mine)
            self.trees += 1
            self._tree(net, [members[d] for d in mine])
        if open_:
            raise Rejected(f"case {number}: no tree for disjuncts {sorted(open_)[:10]}")

    def _tree(self, net: Collapsed, disjuncts: list[list[int]]) -> None:
        root = Context(net)
        stack = [Domain(root, net.x_lower, net.x_upper, (), 0)]
        while stack:
            domain = stack.pop()
            self.deepest = max(self.deepest, domain.depth)
            if domain.depth > DEEPEST:
                raise Rejected(f"the tree is deeper than {DEEPEST}")
            kind = self.body.u8()
            if kind == LEAF:
                self._leaf(domain, disjuncts)
                if not stack or stack[-1].context is not domain.context:
                    self._flush(domain.context, disjuncts)
            elif kind == INPUT_SPLIT:
                stack += reversed(self._input_split(domain))
            elif kind == RELU_SPLIT:
                stack += reversed(self._relu_split(domain))
            elif kind == REDUCE:
                stack.append(reduced_domain(domain))
            elif kind == LEMMAS:
                if domain.path:
                    raise Rejected("lemmas must come before the splits of their network, or after a reduction")
                smaller = self._lemmas(domain.context.net)
                smaller = reduced(smaller, whole(smaller))
                stack.append(Domain(Context(smaller), domain.x_lower, domain.x_upper, (), domain.depth + 1))
            else:
                raise Rejected(f"unknown node kind {kind}")
        self._flush(root, disjuncts)

    def _input_split(self, domain: Domain) -> tuple[Domain, Domain]:
        index, threshold = self.body.varint(), self.body.f64()
        if index >= len(domain.x_lower):
            raise Rejected(f"a split of input {index}; there are {len(domain.x_lower)}")
        if not domain.x_lower[index] < threshold < domain.x_upper[index]:
            raise Rejected(f"a split of input {index} at {threshold}, outside its interval")
        return halves(domain, index, threshold)

    def _relu_split(self, domain: Domain) -> tuple[Domain, Domain]:
        order, neuron = self.body.varint(), self.body.varint()
        column = column_of(domain.context.net, order, neuron)
        if column is None or column in domain.split_columns():
            raise Rejected(f"a split of neuron {neuron} of nonlinear layer {order}, which is no unsplit unstable ReLU")
        return sides(domain, column)

    def _lemmas(self, net: Collapsed) -> Collapsed:
        """A lemma group: bounds of neurons of one layer with slopes of their own."""
        order, count = self.body.varint(), self.body.varint()
        position = next((p for p, layer in enumerate(net.layers) if layer.order == order), None)
        if position is None:
            raise Rejected(f"lemmas for nonlinear layer {order}, which has no unstable neurons")
        layer, prefix = net.layers[position], net.prefixes[position]
        codes = np.array([self.body.varint() for _ in range(count)], dtype=np.int64)
        where = np.searchsorted(layer.neurons, codes // 2)
        if (where >= layer.size).any() or (layer.neurons[where] != codes // 2).any():
            raise Rejected(f"a lemma for a stable neuron of nonlinear layer {order}")
        size = alpha_size(prefix)
        better = net
        for start in range(0, count, 1024):
            part = slice(start, min(start + 1024, count))
            rows = [np.frombuffer(self.body.raw(size), dtype=np.uint8) for _ in range(part.stop - start)]
            alpha, upper = (np.stack(side) for side in zip(*(spread_alpha(prefix, r) for r in rows), strict=True))
            better = with_lemmas(better, position, where[part], codes[part] % 2, alpha, upper)
        if (better.layers[position].lower > better.layers[position].upper).any():
            raise Rejected("a lemma contradicts another bound")
        return better

    def _leaf(self, domain: Domain, disjuncts: list[list[int]]) -> None:
        flags, body, context = self.body.u8(), self.body, domain.context
        if flags >= 32 or flags & OWN_ALPHA and flags & SENT_ALPHA:
            raise Rejected(f"unknown leaf flags {flags}")
        alpha = None
        if flags & OWN_ALPHA:
            alpha = np.frombuffer(body.raw(alpha_size(context.net)), dtype=np.uint8)
            context.alphas.append(alpha)
        elif flags & SENT_ALPHA:
            number = body.varint()
            if number >= len(context.alphas):
                raise Rejected("a leaf refers to an alpha vector that was not sent")
            alpha = context.alphas[number]
        beta = self._positive(len(domain.split_columns())) if flags & BETA else None
        weights = [self._positive(len(rows)) for rows in disjuncts] if flags & WEIGHTS else None
        self.leaves += 1
        if self.chosen is None or self.leaves - 1 in self.chosen:
            context.leaves.append(Leaf(domain, bool(flags & REFRESH), alpha, beta, weights))
            if len(context.leaves) >= batch_size(context.net):
                self._flush(context, disjuncts)

    def _positive(self, count: int) -> np.ndarray:
        """`count` non-negative bfloat16 numbers as float64."""
        values = decode_bfloat16(self.body.raw(2 * count))
        if not (np.isfinite(values).all() and (values >= 0).all()):
            raise Rejected("a multiplier is negative or no number")
        return values

    def _flush(self, context: Context, disjuncts: list[list[int]]) -> None:
        """Bounds the waiting leaves."""
        waiting, context.leaves = context.leaves, []
        for kind in {(leaf.refresh, leaf.weights is None) for leaf in waiting}:
            part = [leaf for leaf in waiting if (leaf.refresh, leaf.weights is None) == kind]
            found = margins(context.net, part, disjuncts)
            if not (found > 0).all():
                worst = int(np.argmin(np.where(np.isnan(found), -np.inf, found)))
                raise Rejected(f"a leaf at depth {part[worst].domain.depth} has the bound {found[worst]:.6g}, "
                               "which is not above 0")
            self.checked += len(part)
            self.smallest = min(self.smallest, float(found.min()))
        if waiting:
            self.progress(self.leaves)


def halves(domain: Domain, index: int, threshold: float) -> tuple[Domain, Domain]:
    """The parts x_index <= threshold and x_index >= threshold."""
    upper, lower = domain.x_upper.copy(), domain.x_lower.copy()
    upper[index] = lower[index] = threshold
    return (Domain(domain.context, domain.x_lower, upper, domain.path, domain.depth + 1),
            Domain(domain.context, lower, domain.x_upper, domain.path, domain.depth + 1))


def sides(domain: Domain, column: int) -> tuple[Domain, Domain]:
    """The parts z >= 0 and z <= 0 of the neuron in a column."""
    return tuple(Domain(domain.context, domain.x_lower, domain.x_upper, (*domain.path, (column, sign)),
                        domain.depth + 1) for sign in (1, -1))


def reduced_domain(domain: Domain) -> Domain:
    """The domain with a collapsed network of its own."""
    net = domain.context.net
    better, empty = refreshed(net, batch_of([domain]))
    if empty[0]:
        raise Rejected("a reduction of an empty domain; it should be a leaf")
    return Domain(Context(reduced(net, better)), domain.x_lower, domain.x_upper, (), domain.depth + 1)


def column_of(net: Collapsed, order: int, neuron: int) -> int | None:
    """The column (counted after the inputs) of an unstable ReLU, or None."""
    for layer in net.layers:
        if layer.order == order and layer.kind == "relu":
            at = int(np.searchsorted(layer.neurons, neuron))
            if at < layer.size and layer.neurons[at] == neuron:
                return layer.start - net.inputs + at
    return None


def batch_size(net: Collapsed) -> int:
    """How many leaves are bounded at once."""
    return max(1, min(MOST_LEAVES, BATCH_ENTRIES // max(net.width, 1)))


def decode_bfloat16(data: bytes) -> np.ndarray:
    """Two bytes per number, the upper half of a float32: float64 (n,)."""
    return (np.frombuffer(data, dtype="<u2").astype(np.uint32) << 16).view(np.float32).astype(np.float64)


def check(network: bytes, spec: bytes, container: Container, arithmetic: str = "float64", sample: int | None = None,
          progress: Callable[[int], None] = lambda leaves: None) -> Report:
    """Checks a proof for the (decompressed) network and property. `sample`: bound only that many leaves, chosen at
    random; the tree is read as a whole all the same. Raises `Rejected`."""
    started = time.monotonic()
    header = container.header
    problem, net = read_spec(spec), load_network(network)
    _fits(net, problem, header)
    if header.cases != len(problem.cases):
        raise Rejected(f"the proof is for {header.cases} cases; the property has {len(problem.cases)}")
    chosen = None
    if sample is not None:
        chosen = set(random.SystemRandom().sample(range(header.leaves), min(sample, header.leaves)))
    checker = Checker(net, container.body, ARITHMETICS[arithmetic], header.semantics == "float32", chosen, progress)
    # Overflow and invalid operations end in bounds that are not finite, which prove nothing.
    with np.errstate(all="ignore"):
        for number, case in enumerate(problem.cases):
            checker.case(number, case)
    container.body.done()
    if checker.leaves != header.leaves:
        raise Rejected(f"the header says {header.leaves} leaves; there are {checker.leaves}")
    return Report(header.semantics, len(problem.cases), sum(len(case.disjuncts) for case in problem.cases),
                  checker.trees, checker.leaves, checker.checked, checker.smallest, checker.deepest,
                  container.body.consumed, time.monotonic() - started)


def _fits(net: Network, problem, header) -> None:
    inputs, outputs = int(np.prod(net.input_shape)), int(np.prod(net.output_shape))
    if (problem.inputs, problem.outputs) != (inputs, outputs):
        raise Rejected(f"the property declares {problem.inputs} inputs and {problem.outputs} outputs; the network has "
                       f"{inputs} and {outputs}")
    if header.semantics == "float32" and net.dtype != "float32":
        raise Rejected("float32 semantics are for float32 networks only")
