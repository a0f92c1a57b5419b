"""Optimised multipliers: the checker's own bound with them is at least the default one, in the units of the rows."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from tests.soundness.nets import case, row
from tests.verify.certificate.proofs import ask, collapsed, points, random_layers, row_values
from verify.budget import Budget
from verify.certificate.checker import nodes
from verify.certificate.checker.nodes import Leaf
from verify.certificate.emit.leaves import evaluated
from verify.certificate.emit.strengthen import compact, strengthened


def question(scale: int = 1, activation: str = "Relu"):
    network = random_layers(3, (6, 10, 8, 2), activation)
    rows = [row({0: scale}, scale), row({1: scale, 0: -scale}, 0, {0: Fraction(scale, 4)})]
    return ask(network, case([-1] * 6, [1] * 6, rows))


def plain(domain) -> Leaf:
    return Leaf(domain, True, None, None, None)


@pytest.mark.parametrize("activation", ["Relu", "Tanh"])
def test_the_compact_network_is_the_network(activation):
    """Its rows at real activations are the rows of the property."""
    asked = question(activation=activation)
    net = collapsed(asked)[0].domain.context.net
    found = compact(net, [1, 0], 4.0)
    x = points(net.x_lower, net.x_upper, 100)
    v = torch.from_numpy(x)
    for layer in found.layers:
        v = torch.cat([v, layer.op.evaluate(v @ layer.weight.T + layer.bias)], 1)
    values = (v @ found.row_weight.T + found.row_bias).numpy()
    assert np.allclose(4 * values[:, ::-1], row_values(asked, x), atol=1e-6)


@pytest.mark.parametrize("rows", [[0], [1], [0, 1]])
def test_margins_rise(rows):
    place, _ = collapsed(question())
    net, leaves = place.domain.context.net, [plain(place.domain), *map(plain, nodes.sides(place.domain, 3))]
    better, columns = strengthened(net, leaves, rows, Budget())
    before, after = (evaluated(net, these, [rows]) for these in (leaves, better))
    assert (after >= before - 1e-6).all() and (after > before + 1e-3).any()
    for leaf, column in zip(better, columns, strict=True):
        assert leaf.alpha.shape == (nodes.alpha_size(net),) and leaf.refresh
        assert net.joined("lower")[column] < 0 < net.joined("upper")[column]
        assert leaf.domain.signs()[column] == 0


def test_multipliers_are_in_the_units_of_the_rows():
    """A row times 4096 has the margin times 4096, with the same steps of the ascent."""
    found = []
    for scale in (1, 4096):
        place, _ = collapsed(question(scale))
        net = place.domain.context.net
        leaves = [plain(part) for part in nodes.sides(nodes.sides(place.domain, 3)[0], 5)]
        better, _ = strengthened(net, leaves, [0], Budget())
        found.append(evaluated(net, better, [[0]]) / scale)
        assert any(leaf.beta is not None for leaf in better)
    assert np.allclose(*found, rtol=1e-6)


def test_no_column_is_left_when_all_are_split():
    place, _ = collapsed(question())
    net, domain = place.domain.context.net, place.domain
    for column in range(net.unstable):
        domain = nodes.sides(domain, column)[0]
    _, columns = strengthened(net, [plain(domain)], [0], Budget())
    assert columns == [None]
    assert strengthened(net, [plain(domain)], [], Budget())[1] == [None]


def test_smooth_neurons_are_never_split():
    place, _ = collapsed(question(activation="Sigmoid"))
    net = place.domain.context.net
    better, columns = strengthened(net, [plain(place.domain)], [0], Budget())
    assert columns == [None] and better[0].alpha.shape == (2 * net.unstable,)
    before, after = (evaluated(net, [leaf], [[0]])[0] for leaf in (plain(place.domain), better[0]))
    assert np.isfinite(after) and after >= before - 1e-6
