"""Recorded neurons in the checker's collapsed networks: sides of those that are gone, alpha vectors, lemmas."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.soundness.nets import dense
from tests.verify.certificate.proofs import ask, collapsed, floors, points, random_layers, searched
from verify.certificate.checker import bounds, nodes
from verify.certificate.checker.arithmetic import Float64
from verify.certificate.checker.check import Checker
from verify.certificate.checker.network import load_network
from verify.certificate.checker.nodes import Context
from verify.certificate.checker.stream import BodyReader
from verify.certificate.emit.places import Columns, Place, pass_flops, reduce, refresh_flops, with_lemmas
from verify.certificate.recording import Neurons
from verify.onnx_import import from_bytes

NETWORK = random_layers(1, (3, 12, 12, 2))


@pytest.fixture(scope="module")
def question():
    return searched(ask(NETWORK, floors(NETWORK, [-1] * 3, [1] * 3, (0.03, 0.05))), "relu")


def hidden(network: bytes, x: np.ndarray) -> list[np.ndarray]:
    """The pre-activations of every ReLU layer at points."""
    graph = from_bytes(network).graph.to("cpu", torch.float64)
    names = [node.inputs[0] for node in graph.nonlinear]
    values = graph.values(torch.from_numpy(x).reshape(-1, *graph.input.shape), names)
    return [values[name].reshape(len(x), -1).numpy() for name in names]


def small_box(place: Place) -> Place:
    """A tenth of the box in every direction."""
    domain = place.domain
    middle, radius = (domain.x_lower + domain.x_upper) / 2, (domain.x_upper - domain.x_lower) / 20
    return replace(place, domain=replace(domain, x_lower=middle - radius, x_upper=middle + radius))


def test_sides_of_neurons_that_are_gone(question):
    """At the root and after a reduction, a neuron without a column is on the side that is told."""
    place, _ = collapsed(question)
    smaller = reduce(small_box(place))
    assert smaller.domain.context.net.unstable < place.domain.context.net.unstable
    told = set()
    for where in (place, smaller):
        net = where.domain.context.net
        z = hidden(NETWORK, points(where.domain.x_lower, where.domain.x_upper))
        for order, values in enumerate(z):
            for neuron in range(values.shape[1]):
                if nodes.column_of(net, order, neuron) is None:
                    side = where.sides[order, neuron]
                    assert (side * values[:, neuron] >= -1e-9).all()
                    told.add(side)
    assert told == {1, -1}


def test_a_reduction_of_an_empty_domain_is_none():
    """relu(x) + x / 2 >= 1 is known, so no point of [-1, -1/2] is left."""
    network = dense([([[1], [1]], [0, 0.5]), ([[1, 0.25], [-1, 0]], [0, 0.5]), ([[1, 1]], [0])])
    place = collapsed(ask(network, floors(network, [-1], [1], (1.0,))))[0]
    net = place.domain.context.net
    last = net.layers[1]
    net = bounds.tightened(net, 1, np.where(last.neurons == 0, 1.0, last.lower), last.upper)
    box = replace(place.domain, context=Context(net), x_upper=np.array([-0.5]))
    assert reduce(replace(place, domain=box)) is None
    assert reduce(replace(place, domain=replace(box, x_lower=np.array([0.5]), x_upper=np.array([1.0])))) is not None


def test_alpha_vectors_go_to_their_columns(question):
    net = collapsed(question)[0].domain.context.net
    names = [(layer.order, int(neuron)) for layer in net.layers for neuron in layer.neurons]
    rng = np.random.default_rng(0)
    shown = sorted(rng.permutation(len(names))[: len(names) // 2].tolist())
    # A neuron that the checker does not have, in front, in the middle and behind.
    recorded = sorted([names[k] for k in shown] + [(0, 10**6), (1, 10**6)])
    neurons = Neurons(*(np.array(part, dtype=np.int64) for part in zip(*recorded, strict=True)))
    alpha = rng.integers(0, 256, (3, len(recorded)), dtype=np.uint8)
    packed = Columns(net, neurons).pack(alpha, None)
    default = 255 * bounds.default_alpha(net, bounds.whole(net))[0]
    for k, name in enumerate(names):
        wanted = alpha[:, recorded.index(name)] if name in recorded else np.full(3, default[k])
        assert packed[:, k].tolist() == wanted.tolist()
    assert packed.shape[1] == nodes.alpha_size(net)
    assert np.array_equal(Columns(net, None).pack(alpha[:, :0], None)[0], default)


def test_both_positions_of_smooth_columns():
    network = random_layers(1, (2, 4, 3, 1), "Tanh")
    net = collapsed(ask(network, floors(network, [-1, -1], [1, 1], (1.0,))))[0].domain.context.net
    neurons = Neurons(np.array([0, 0, 1]), np.array([1, 3, 2]))
    lower, upper = np.array([[10, 20, 30]], dtype=np.uint8), np.array([[40, 50, 60]], dtype=np.uint8)
    packed = Columns(net, neurons).pack(lower, upper)
    assert packed.tolist() == [[0, 10, 0, 20, 0, 0, 30, 0, 40, 0, 50, 0, 0, 60]]
    first, second = nodes.spread_alpha(net, packed[0])
    assert first[1] == 10 / 256 and second[6] == 60 / 256


def test_lemmas_are_what_the_checker_reads(question):
    place, _ = collapsed(question)
    refinements = question.recording.cases[0].refinements
    groups, better = with_lemmas(place, refinements)
    assert groups
    body = BodyReader(zlib.compress(b"".join(groups)))
    checker = Checker(load_network(question.network), body, Float64, False)
    net = place.domain.context.net
    for _ in groups:
        net = checker._lemmas(net)
    body.done()
    net = bounds.reduced(net, bounds.whole(net))
    mine = better.domain.context.net
    assert np.array_equal(net.joined("lower"), mine.joined("lower")) and net.unstable == mine.unstable
    kept = {(m.order, k): (low, high) for m in mine.layers
            for k, low, high in zip(m.neurons, m.lower, m.upper, strict=True)}
    before = [(m.order, k, low, high) for m in place.domain.context.net.layers
              for k, low, high in zip(m.neurons, m.lower, m.upper, strict=True)]
    moved = [kept.get((order, k), (high, low)) for order, k, low, high in before]
    assert all(new[0] >= old[2] and new[1] <= old[3] for new, old in zip(moved, before, strict=True))
    assert any(new != old[2:] for new, old in zip(moved, before, strict=True))


def test_lemma_bounds_hold(question):
    _, better = with_lemmas(collapsed(question)[0], question.recording.cases[0].refinements)
    net, domain = better.domain.context.net, better.domain
    z = hidden(NETWORK, points(domain.x_lower, domain.x_upper, 3000))
    for layer in net.layers:
        mine = z[layer.order][:, layer.neurons]
        assert (mine >= layer.lower - 1e-9).all() and (mine <= layer.upper + 1e-9).all()


def test_refinements_of_unknown_layers_are_no_lemmas(question):
    place, _ = collapsed(question)
    refinements = [replace(r, layer=7) for r in question.recording.cases[0].refinements]
    groups, same = with_lemmas(place, refinements)
    assert groups == [] and same is place
    nothing = [replace(r, bounds=r.before) for r in question.recording.cases[0].refinements]
    assert with_lemmas(place, nothing)[0] == []


def test_costs_by_hand():
    """Two inputs, layers of 4 and 3 unstable neurons: each row of the second one passes the first."""
    network = random_layers(1, (2, 4, 3, 1), "Tanh")
    net = collapsed(ask(network, floors(network, [-1, -1], [1, 1], (1.0,))))[0].domain.context.net
    assert pass_flops(net) == 4 * 2 + 3 * 6 + 9
    assert refresh_flops(net) == 2 * 4 * 2 + 2 * 3 * (4 * 2 + 6)
