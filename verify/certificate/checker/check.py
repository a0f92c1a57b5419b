"""Walks a proof: every case, every tree, every leaf. What is accepted, is proved.

The walk keeps for each open node its domain (box, sides of split neurons) and the collapsed network that holds on it.
Both children of a split cover their parent by construction, so a tree whose leaves all have a positive bound proves
its disjuncts on the whole box. Leaves are collected and bounded in batches.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from verify.certificate.checker.arithmetic import ARITHMETICS
from verify.certificate.checker.bounds import reduced, whole, with_lemmas
from verify.certificate.checker.collapse import Collapsed, Collapser
from verify.certificate.checker.errors import Rejected
from verify.certificate.checker.network import Network, load_network
from verify.certificate.checker.nodes import (
    Context,
    Domain,
    Leaf,
    alpha_size,
    batch_size,
    column_of,
    decode_bfloat16,
    halves,
    margins,
    reduced_domain,
    sides,
    spread_alpha,
)
from verify.certificate.checker.rows import float_rows, is_empty, outer_box, unique_rows
from verify.certificate.checker.spec import Case, read_spec
from verify.certificate.checker.stream import BodyReader, Container

INPUT_SPLIT, RELU_SPLIT, REDUCE, LEMMAS, LEAF = 1, 2, 3, 4, 5
REFRESH, OWN_ALPHA, SENT_ALPHA, BETA, WEIGHTS = 1, 2, 4, 8, 16
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
            mine = [self.body.varint() for _ in range(self._count(len(open_), "disjuncts"))]
            if not mine or len(set(mine)) != len(mine) or not set(mine) <= open_:
                raise Rejected(f"case {number}: a tree is for disjuncts {mine}; open are {sorted(open_)[:10]}")
            open_ -= set(mine)
            self.trees += 1
            self._tree(net, [members[d] for d in mine])
        if open_:
            raise Rejected(f"case {number}: no tree for disjuncts {sorted(open_)[:10]}")

    def _tree(self, net: Collapsed, disjuncts: list[list[int]]) -> None:
        stack = [Domain(Context(net), net.x_lower, net.x_upper, (), 0)]
        while stack:
            domain = stack.pop()
            last = not stack or stack[-1].context is not domain.context
            self.deepest = max(self.deepest, domain.depth)
            if domain.depth > DEEPEST:
                raise Rejected(f"the tree is deeper than {DEEPEST}")
            kind = self.body.u8()
            if kind == LEAF:
                self._leaf(domain, disjuncts)
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
            if last and kind not in (INPUT_SPLIT, RELU_SPLIT):  # no other open node has this network
                self._flush(domain.context, disjuncts)

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
        order = self.body.varint()
        position = next((p for p, layer in enumerate(net.layers) if layer.order == order), None)
        if position is None:
            raise Rejected(f"lemmas for nonlinear layer {order}, which has no unstable neurons")
        layer, prefix = net.layers[position], net.prefixes[position]
        count = self._count(2 * layer.size, "lemmas of one layer")
        codes = np.array([self.body.varint() for _ in range(count)], dtype=np.int64)
        where = np.searchsorted(layer.neurons, codes // 2)
        if (where >= layer.size).any() or (layer.neurons[where] != codes // 2).any():
            raise Rejected(f"a lemma for a stable neuron of nonlinear layer {order}")
        better, size = net, alpha_size(prefix)
        for start in range(0, count, 1024):
            part = slice(start, min(start + 1024, count))
            rows = [np.frombuffer(self.body.raw(size), dtype=np.uint8) for _ in range(part.stop - start)]
            alpha, upper = (np.stack(side) for side in zip(*(spread_alpha(prefix, r) for r in rows), strict=True))
            better = with_lemmas(better, position, where[part], codes[part] % 2, alpha, upper)
        if (better.layers[position].lower > better.layers[position].upper).any():
            raise Rejected("a lemma contradicts another bound")
        return better

    def _count(self, most: int, what: str) -> int:
        """A number of things that follow."""
        count = self.body.varint()
        if count > most:
            raise Rejected(f"{count} {what}; there can be {most}")
        return count

    def _leaf(self, domain: Domain, disjuncts: list[list[int]]) -> None:
        flags, body, context = self.body.u8(), self.body, domain.context
        if flags >= 32 or (flags & OWN_ALPHA and flags & SENT_ALPHA):
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
    if checker.checked != (checker.leaves if chosen is None else len(chosen)):
        raise Rejected(f"{checker.checked} of {checker.leaves} leaves were bounded")
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
