"""Leaves get the cheapest evidence that the checker's own evaluation accepts, and are split again without."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from tests.soundness.nets import case, dense, row
from tests.verify.certificate.proofs import ask, collapsed, floors, random_layers
from verify.budget import Budget
from verify.certificate.checker import nodes
from verify.certificate.checker.nodes import Leaf
from verify.certificate.emit import leaves as module
from verify.certificate.emit.leaves import Leaves, evaluated, with_multipliers
from verify.certificate.emit.pieces import Piece
from verify.certificate.emit.strengthen import strengthened
from verify.certificate.recording import LeafRecord, Neurons, TreeRecord
from verify.errors import NoProof

NETWORK = random_layers(1, (3, 12, 12, 2))


def root(margin: float, network: bytes = NETWORK):
    """The root of the property that output 0 stays above its least value - `margin`."""
    asked = ask(network, floors(network, [-1] * 3, [1] * 3, (margin,)))
    place, disjuncts = collapsed(asked)
    return place.domain, disjuncts


def columns_of(net) -> Neurons:
    return Neurons(np.concatenate([np.full(layer.size, layer.order) for layer in net.layers]),
                   np.concatenate([layer.neurons for layer in net.layers]))


def proved(domains, disjuncts, records, mode="relu", seconds=20.0, neurons=None):
    """The pieces of leaves after proving, and the `Leaves`."""
    tree = TreeRecord(mode, (0,), 0, {}, {}, {}, neurons)
    leaves = Leaves(disjuncts, list(range(len(disjuncts[0]))), tree, Budget.seconds(seconds))
    pieces = [Piece() for _ in domains]
    for piece, domain, record in zip(pieces, domains, records, strict=True):
        leaves.add(piece, domain, record)
    leaves.prove()
    return pieces, leaves


def all_leaves(piece: Piece) -> list[Leaf]:
    if piece.leaf is not None:
        assert not piece.children and not piece.code
        return [piece.leaf]
    assert piece.code and len(piece.children) == 2
    return [leaf for child in piece.children for leaf in all_leaves(child)]


def margins(leaves: list[Leaf], disjuncts) -> np.ndarray:
    return evaluated(leaves[0].domain.context.net, leaves, disjuncts)


def test_default_lines_come_first():
    domain, disjuncts = root(100.0)
    (piece,), leaves = proved([domain], disjuncts, [LeafRecord()])
    assert piece.leaf == Leaf(domain, False, None, None, None) or piece.leaf.alpha is None
    assert not piece.leaf.refresh and (leaves.count, leaves.resplit) == (1, 0)
    assert leaves.smallest == margins([piece.leaf], disjuncts)[0] > 0


def closable():
    """A split domain that the recorded evidence proves and default lines do not, with that evidence."""
    domain, disjuncts = root(0.5)
    parts = nodes.sides(nodes.sides(domain, 3)[0], 5)
    better, _ = strengthened(domain.context.net, [Leaf(p, True, None, None, None) for p in parts], disjuncts[0],
                             Budget())
    net = domain.context.net
    values = margins([*better], disjuncts)
    default = margins([Leaf(p, True, None, None, None) for p in parts], disjuncts)
    k = int(np.argmax(values - default))
    # The property is moved so that the default fails and the evidence does not.
    shift = (values[k] + max(default[k], values[k] - 1)) / 2
    moved = replace(net, bias=net.bias - shift)
    context = nodes.Context(moved)
    best = parts[k]
    split = np.array(sorted(best.split_columns()))
    order = [best.split_columns().index(c) for c in split]
    beta = np.zeros(2) if better[k].beta is None else better[k].beta
    record = LeafRecord(better[k].alpha, None, split, best.signs()[split], beta[order].astype(np.float32),
                        np.ones(1, dtype=np.float32))
    return replace(best, context=context), disjuncts, record, columns_of(net)


def test_recorded_evidence_and_its_sharing():
    domain, disjuncts, record, neurons = closable()
    pieces, leaves = proved([domain, domain, domain], disjuncts, [record] * 3, neurons=neurons)
    assert leaves.resplit == 0 and leaves.count == 3
    assert all(piece.leaf.alpha is not None for piece in pieces)
    assert len({id(piece.leaf.alpha) for piece in pieces}) == 1  # sent once
    assert (margins([piece.leaf for piece in pieces], disjuncts) > 0).all()


def test_weights_scale_the_multipliers():
    """Of a single row the weight is 1: a record with weight w has its multipliers in units of w rows."""
    domain, disjuncts, record, neurons = closable()
    scaled = replace(record, weights=np.float32([8.0]), beta=record.beta * 8)
    (first,), _ = proved([domain], disjuncts, [record], neurons=neurons)
    (second,), _ = proved([domain], disjuncts, [scaled], neurons=neurons)
    assert first.leaf.weights is None and second.leaf.weights is None
    assert np.allclose(first.leaf.beta, second.leaf.beta, rtol=0.01)


def test_leaves_without_evidence_are_split_until_they_are_proved():
    domain, disjuncts = root(0.03)
    (piece,), leaves = proved([domain], disjuncts, [LeafRecord()])
    found = all_leaves(piece)
    assert len(found) == leaves.count > 1 and leaves.resplit >= leaves.count - 1
    assert (margins(found, disjuncts) > 0).all()
    assert leaves.smallest == pytest.approx(margins(found, disjuncts).min(), rel=1e-6)


def test_cut_boxes_are_cut_again():
    domain, disjuncts = root(0.03)
    (piece,), leaves = proved([domain], disjuncts, [LeafRecord()], mode="input")
    found = all_leaves(piece)
    assert len(found) == leaves.count > 1 and all(not leaf.domain.path for leaf in found)
    volume = sum(np.prod(leaf.domain.x_upper - leaf.domain.x_lower) for leaf in found)
    assert volume == pytest.approx(8.0) and (margins(found, disjuncts) > 0).all()


def test_a_network_without_unstable_neurons_and_evidence_for_many():
    """All that was recorded is stable for the checker."""
    network = dense([([[1, 0, 0], [0, 1, 0]], [5, -5]), ([[1, 1]], [0])])
    domain, disjuncts = root(1.0, network)
    assert domain.context.net.unstable == 0
    record = LeafRecord(np.uint8([9, 9]), None, np.array([0, 1]), np.int8([1, -1]), np.float32([1, 2]),
                        np.float32([1]))
    (piece,), _ = proved([domain], disjuncts, [record], neurons=Neurons(np.array([0, 0]), np.array([0, 1])))
    assert piece.leaf.beta is None


def test_a_margin_that_is_too_small():
    network = dense([([[1, 1, 1]], [0])])
    asked = ask(network, case([-1] * 3, [1] * 3, [row({0: 1}, 3)]))
    place, disjuncts = collapsed(asked)
    with pytest.raises(NoProof, match="too small"):
        proved([place.domain], disjuncts, [LeafRecord()])


@pytest.mark.parametrize(("margin", "proved_at_once"), [(2.0**-30, True), (2.0**-46, False)])
def test_margins_that_rounding_could_turn_are_not_enough(margin, proved_at_once):
    """x stays above -1 - margin by that margin, whatever the checker's order of summation."""
    network = dense([([[1, 1, 1]], [0])])
    asked = ask(network, case([-1] * 3, [1] * 3, [row({0: 1}, Fraction(3) + Fraction(margin))]))
    place, disjuncts = collapsed(asked)
    if proved_at_once:
        _, leaves = proved([place.domain], disjuncts, [LeafRecord()])
        assert leaves.resplit == 0 and leaves.smallest > 0
    else:
        with pytest.raises(NoProof):
            proved([place.domain], disjuncts, [LeafRecord()])


def test_the_budget_ends_it():
    domain, disjuncts = root(-0.5)
    with pytest.raises(NoProof, match="time limit"):
        proved([domain], disjuncts, [LeafRecord()], seconds=0.3)


@pytest.mark.parametrize("mode", ["relu", "input"])
def test_bounds_computed_again_only_where_they_are_cheap(mode, monkeypatch):
    """Where they are not, other evidence comes first; both prove."""
    domain, disjuncts = root(0.2)
    counts = []
    for cheap in (0, 10**9):
        monkeypatch.setattr(module, "CHEAP_REFRESH", cheap)
        pieces, leaves = proved(nodes.halves(domain, 0, 0.0), disjuncts, [LeafRecord()] * 2, mode=mode)
        found = [leaf for piece in pieces for leaf in all_leaves(piece)]
        assert (margins(found, disjuncts) > 0).all() and len(found) == leaves.count
        counts.append(leaves.count)
    assert min(counts) >= 2


def test_multipliers_as_they_will_be_read():
    domain, _ = root(1.0)
    plain = Leaf(domain, False, None, None, None)
    found = with_multipliers(plain, np.array([0.1, -1.0]), np.array([1.0, 0.3]))
    assert found.beta[1] == 0 and np.float32(found.beta[0]).view(np.uint32) % 65536 == 0
    assert abs(found.beta[0] - 0.1) < 1e-3 and abs(found.weights[0][1] - 0.3) < 2e-3
    none = with_multipliers(plain, np.zeros(2), None)
    assert none.beta is None and none.weights is None


def test_nothing_is_no_evidence():
    domain, disjuncts = root(100.0)
    found = evaluated(domain.context.net, [None, Leaf(domain, False, None, None, None), None], disjuncts)
    assert found[0] == found[2] == -np.inf and found[1] > 0
