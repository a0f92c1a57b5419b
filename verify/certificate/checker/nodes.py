"""Open nodes of a tree, their leaves with evidence, and the margins that the evidence proves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from verify.certificate.checker.arithmetic import enlarged
from verify.certificate.checker.bounds import (
    Domains,
    default_alpha,
    lines,
    minimum,
    reduced,
    refreshed,
    smooth_columns,
)
from verify.certificate.checker.collapse import Collapsed
from verify.certificate.checker.errors import Rejected

BATCH_ENTRIES, MOST_LEAVES = 2**21, 1024


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
    """Evidence of one leaf: `alpha` a packed vector, `beta` over `Domain.split_columns`, `weights` per disjunct."""

    domain: Domain
    refresh: bool
    alpha: np.ndarray | None
    beta: np.ndarray | None
    weights: list[np.ndarray] | None


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
                    if net.floor is not None:
                        # Intervals are sometimes ahead; they hold on the whole box, hence here.
                        single[r] = np.fmax(single[r], net.floor[r])
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
    return factor @ net.weight[rows], factor @ net.bias[rows], enlarged(error)


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
