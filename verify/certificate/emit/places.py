"""Recorded trees in the checker's terms: domains, their collapsed networks, and neurons that these no longer have."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from verify.certificate.checker import bounds, nodes
from verify.certificate.checker.collapse import Collapsed, Collapser
from verify.certificate.checker.nodes import Context, Domain
from verify.certificate.checker.ops import Relu, Smooth
from verify.certificate.emit.pieces import varint
from verify.certificate.recorder import Neurons, RefinementRecord

LEMMA_GAIN = 1e-4
"""A lemma is sent when it moves a bound by this share of the neuron's interval."""


@dataclass(frozen=True, eq=False)
class Place:
    """A domain, and for neurons that its collapsed network does not have, named (order of the nonlinear step, flat
    index), the side on which they are: 1 for z >= 0, -1 for z <= 0."""

    domain: Domain
    sides: Mapping[tuple[int, int], int]


class RootSides(dict):
    """Sides of the neurons that are stable on the whole box, looked up in the intervals of a walk."""

    def __init__(self, walk: Collapser):
        super().__init__()
        self._lower = [walk.lower[step.inputs[0]].ravel() for step in walk.steps if isinstance(step.op, (Relu, Smooth))]

    def __missing__(self, key: tuple[int, int]) -> int:
        return 1 if self._lower[key[0]][key[1]] >= 0 else -1


def _leaving(before: Collapsed, after: Collapsed, lower: np.ndarray) -> dict[tuple[int, int], int]:
    """The neurons of `before` that `after` does not have any more, with the side that `lower` (U,) tells."""
    kept = {layer.order: layer.neurons for layer in after.layers}
    gone = {}
    for layer in before.layers:
        first = layer.start - before.inputs
        for k in np.flatnonzero(~np.isin(layer.neurons, kept.get(layer.order, ()))):
            gone[layer.order, int(layer.neurons[k])] = 1 if lower[first + k] >= 0 else -1
    return gone


def reduce(place: Place) -> Place | None:
    """The domain with a collapsed network of its own; None where the domain is empty (its leaves will say so)."""
    domain, net = place.domain, place.domain.context.net
    better, empty = bounds.refreshed(net, nodes.batch_of([domain]))
    if empty[0]:
        return None
    smaller = bounds.reduced(net, better)
    return Place(Domain(Context(smaller), domain.x_lower, domain.x_upper, (), domain.depth + 1),
                 ChainMap(_leaving(net, smaller, better.lower[0]), place.sides))


class Columns:
    """Where recorded alpha vectors go in a collapsed network: recorded columns without a place are left out, columns
    that were not recorded get CROWN's default."""

    def __init__(self, net: Collapsed, neurons: Neurons | None):
        self.net = net
        self.default = np.where(net.joined("upper") > -net.joined("lower"), 255, 0).astype(np.uint8)
        self.smooth = np.flatnonzero(bounds.smooth_columns(net))
        self.source, self.target = self._matched(neurons)

    def _matched(self, neurons: Neurons | None) -> tuple[np.ndarray, np.ndarray]:
        """Recorded columns and their columns here."""
        sources, targets = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
        for layer in self.net.layers if neurons is not None else ():
            theirs = np.flatnonzero(neurons.layer == layer.order)
            at = np.minimum(np.searchsorted(layer.neurons, neurons.index[theirs]), layer.size - 1)
            found = layer.neurons[at] == neurons.index[theirs]
            sources.append(theirs[found])
            targets.append(at[found] + layer.start - self.net.inputs)
        return np.concatenate(sources), np.concatenate(targets)

    def pack(self, alpha: np.ndarray, upper: np.ndarray | None) -> np.ndarray:
        """Recorded vectors (k, u) uint8 as the checker's (k, bytes)."""
        packed = np.zeros((len(alpha), len(self.default) + len(self.smooth)), dtype=np.uint8)
        packed[:, : len(self.default)] = self.default
        packed[:, self.target] = alpha[:, self.source]
        if len(self.smooth):
            position = np.zeros((len(alpha), len(self.default)), dtype=np.uint8)
            packed[:, self.smooth[~np.isin(self.smooth, self.target)]] = 0
            if upper is not None:
                position[:, self.target] = upper[:, self.source]
            packed[:, len(self.default) :] = position[:, self.smooth]
        return packed


def with_lemmas(place: Place, refinements: Sequence[RefinementRecord]) -> tuple[list[bytes], Place]:
    """The recorded alpha-CROWN bounds as lemma groups, as far as they gain something, and the place that has them."""
    groups, net = [], place.domain.context.net
    for record in refinements:
        position = next((p for p, layer in enumerate(net.layers) if layer.order == record.layer), None)
        if position is not None:
            group, net = _lemma_group(net, position, record)
            groups += group
    if not groups:
        return [], place
    smaller, domain = bounds.reduced(net, bounds.whole(net)), place.domain
    sides = ChainMap(_leaving(net, smaller, net.joined("lower")), place.sides)
    return groups, Place(Domain(Context(smaller), domain.x_lower, domain.x_upper, (), 0), sides)


def _lemma_group(net: Collapsed, position: int, record: RefinementRecord) -> tuple[list[bytes], Collapsed]:
    """One layer's lemmas: tried are those that gained something in the search, sent those that do so here."""
    layer = net.layers[position]
    where = np.minimum(np.searchsorted(layer.neurons, record.index), layer.size - 1)
    here = layer.neurons[where] == record.index
    at, sides = np.concatenate([where, where]), np.repeat([0, 1], len(where))
    use = np.flatnonzero(np.concatenate([here, here]) & _gains(record.before, record.bounds))
    if not use.size:
        return [], net
    packed = Columns(net.prefixes[position], record.neurons).pack(
        record.alpha[use], None if record.upper is None else record.upper[use])
    found = _proved(net, position, at[use], sides[use], packed).layers[position]
    gained = _gains(np.stack([layer.lower, layer.upper]), np.stack([found.lower, found.upper]))
    good = gained[sides[use] * layer.size + at[use]]
    if not good.any():
        return [], net
    at, sides, packed = at[use][good], sides[use][good], packed[good]
    codes = b"".join(varint(int(code)) for code in 2 * layer.neurons[at] + sides)
    group = varint(layer.order) + varint(len(at)) + codes + packed.tobytes()
    return [group], _proved(net, position, at, sides, packed)


def _gains(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Which bounds, (2, k) lower and upper ones each, moved by their share of the width: (2 k,)."""
    width = before[1] - before[0]
    return np.concatenate([after[0] - before[0], before[1] - after[1]]) > LEMMA_GAIN * np.concatenate([width, width])


def _proved(net: Collapsed, position: int, at: np.ndarray, sides: np.ndarray, packed: np.ndarray) -> Collapsed:
    prefix = net.prefixes[position]
    alpha, upper = (np.stack(side) for side in zip(*(nodes.spread_alpha(prefix, row) for row in packed), strict=True))
    return bounds.with_lemmas(net, position, at, sides, alpha, upper)


def pass_flops(net: Collapsed) -> int:
    """Multiplications of one row's pass."""
    return sum(layer.size * layer.start for layer in net.layers) + net.width


def refresh_flops(net: Collapsed) -> int:
    """Multiplications when the bounds of all neurons are computed again."""
    total = prefix = 0
    for layer in net.layers:
        total += 2 * layer.size * (prefix + layer.start)
        prefix += layer.size * layer.start
    return total
