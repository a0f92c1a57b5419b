"""Open nodes and their margins: random ways down random trees against exact executions, and examples by hand."""

from dataclasses import replace

import numpy as np
import pytest

from tests.soundness.random_networks import IMAGES, KINDS, Builder
from tests.verify.certificate.checker import laws
from tests.verify.certificate.checker.test_bounds import absolute
from tests.verify.certificate.checker.test_collapse import BOX, network, rows
from verify.certificate.checker import nodes
from verify.certificate.checker.arithmetic import ARITHMETICS, Exact, Float64
from verify.certificate.checker.collapse import Collapser
from verify.certificate.checker.errors import Rejected
from verify.certificate.checker.network import load_network
from verify.certificate.checker.nodes import Context, Domain, Leaf
from verify.certificate.checker.ops import Dense, Relu, Smooth


def box(rng: np.random.Generator, inputs: int) -> tuple[np.ndarray, np.ndarray]:
    center = rng.standard_normal(inputs).astype(np.float32)
    radius = rng.choice([0.0, 2.0**-30, 0.1, 0.5, 1.0]) * (rng.random(inputs) < 0.8)
    return ((center - radius).astype(np.float32).astype(np.float64),
            (center + radius).astype(np.float32).astype(np.float64))


@pytest.mark.parametrize("name", KINDS)
def test_random_proofs_bound_networks_of_all_kinds(name):
    for seed in range(3):
        rng = np.random.default_rng([seed, len(name)])
        shape = (1, 1, 3, 3) if KINDS[name] in IMAGES else (1, int(rng.integers(1, 6)))
        builder = Builder(rng, shape)
        net = load_network(builder.model(*KINDS[name](builder)))
        low, high = box(rng, int(np.prod(shape)))
        arithmetic = Exact if seed == 0 and KINDS[name] not in IMAGES else Float64
        least = laws.walk(rng, net, low, high, arithmetic, seed == 1, laws.random_points(rng, low, high, 3), 4)
        assert 0 <= least < np.inf


@pytest.mark.parametrize("kind, scale", [("relu", 0.0), ("relu", 10.0), ("relu", 40.0), ("tanh", 0.0), ("sigmoid", 1)])
def test_random_proofs_bound_networks_with_extreme_weights(kind, scale):
    for seed in range(10):
        rng = np.random.default_rng([seed, int(scale)])
        net = laws.random_network(rng, kind, scale)
        low, high = box(rng, net.input_shape[1])
        points = laws.random_points(rng, low, high, 4)
        float32 = kind != "relu" or seed % 2 == 1
        try:
            least = laws.walk(rng, net, low, high, list(ARITHMETICS.values())[seed % 3 == 2], float32, points, 5)
        except Rejected as refusal:
            assert "overflow" in str(refusal) or "2^150" in str(refusal)
        else:
            assert least >= 0


def root(net) -> Domain:
    return Domain(Context(net), net.x_lower, net.x_upper, (), 0)


def margins(domain: Domain, weights=None, beta=None, alpha=None, refresh: bool = False, disjuncts=((0,),)) -> float:
    leaf = Leaf(domain, refresh, alpha, beta, weights)
    return float(nodes.margins(domain.context.net, [leaf], disjuncts)[0])


def test_alpha_vectors():
    net = network((Dense(np.eye(2)), 2), (Relu(), 2), (Dense(np.eye(2)), 2), (Smooth("tanh"), 2),
                  (Dense(np.ones((1, 2))), 1))
    net = Collapser(net, *BOX, Float64, False).finish(rows([1.0]))
    assert nodes.alpha_size(net) == 6
    alpha, position = nodes.spread_alpha(net, np.array([0, 255, 128, 64, 254, 255], dtype=np.uint8))
    assert alpha.tolist() == [0.0, 1.0, 0.5, 0.25] and position.tolist() == [0.0, 0.0, 254 / 256, 1.0]


def test_bfloat16():
    assert nodes.decode_bfloat16(bytes.fromhex("803f 0040 0000 807f 80bf")).tolist() == [1.0, 2.0, 0.0, np.inf, -1.0]


def test_splits_cover_and_are_kept_in_order():
    domain = root(absolute(Float64, 1.0))
    left, right = nodes.halves(domain, 1, 0.25)
    assert left.x_upper.tolist() == [1.0, 0.25] and right.x_lower.tolist() == [-1.0, 0.25]
    assert domain.x_upper.tolist() == [1.0, 1.0] and left.depth == 1
    above, below = nodes.sides(domain, 1)
    assert above.signs().tolist() == [0, 1] and below.signs().tolist() == [0, -1]
    assert nodes.sides(above, 0)[1].split_columns() == [1, 0]
    smaller = nodes.reduced_domain(nodes.sides(above, 0)[1])
    assert smaller.context.net.signs.tolist() == [-1, 1] and smaller.path == ()
    assert smaller.split_columns() == [0, 1] and smaller.signs().tolist() == [-1, 1]


def test_columns_have_names():
    net = absolute(Float64, 1.0)
    assert [nodes.column_of(net, *name) for name in ((0, 0), (0, 1), (0, 2), (1, 0))] == [0, 1, None, None]


def test_multipliers_follow_the_order_of_the_splits():
    # x1 + x2 >= 0 by the first of two splits, wherever it stands.
    domain = root(absolute(Float64, 0.0, (1.0, 1.0), 0.5))
    for path, beta in (((0, 1), [1.0, 0.0]), ((1, 0), [0.0, 1.0])):
        down = domain
        for column in path:
            down, _ = nodes.sides(down, column)
        assert margins(down, beta=np.array(beta)) == pytest.approx(0.5, abs=1e-12)
        assert margins(down, beta=np.array(beta[::-1])) < 0


def test_rows_are_combined_or_the_best_one_counts():
    # The rows x1 + 0.5 and -x1 + 0.25 are never both negative.
    net = absolute(Float64, 0.0)
    net = net.rows(np.array([[1.0, 0, 0, 0], [-1.0, 0, 0, 0]]), np.array([0.5, 0.25]), np.zeros(2))
    domain = root(net)
    assert margins(domain, disjuncts=[[0, 1]]) == pytest.approx(-0.5, abs=1e-12)
    assert margins(domain, [np.array([1.0, 1.0])], disjuncts=[[0, 1]]) == pytest.approx(0.75, abs=1e-12)
    assert margins(domain, [np.array([0.0, 0.0])], disjuncts=[[0, 1]]) <= 0
    both = [[0, 1], [0]]
    assert margins(domain, [np.array([1.0, 1.0]), np.array([1.0])], disjuncts=both) == pytest.approx(-0.5, abs=1e-12)


@pytest.mark.parametrize("arithmetic", ARITHMETICS.values())
def test_disjuncts_without_rows_are_never_refuted(arithmetic):
    domain = root(absolute(arithmetic, 1.0, constant=5.0))
    for refresh in (False, True):
        assert margins(domain, refresh=refresh) > 4
        assert not margins(domain, refresh=refresh, disjuncts=[[0], []]) > 0
        assert not margins(domain, [np.ones(1), np.zeros(0)], refresh=refresh, disjuncts=[[0], []]) > 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_margins_that_are_no_numbers_prove_nothing(bad):
    net = absolute(Float64, 0.0)
    net = net.rows(np.array([[0.0, 0, 0, 0], [1.0, bad, 0, 0]]), np.array([1.0, 0.5]), np.zeros(2))
    for disjuncts in ([[0], [1]], [[1], [0]]):
        for weights in (None, [np.ones(1), np.ones(1)]):
            with np.errstate(all="ignore"):
                assert margins(root(net), weights, disjuncts=disjuncts) == -np.inf


def test_an_empty_domain_is_proved_by_a_refresh_only():
    net = absolute(Float64, 1.0, constant=-5.0)
    domain = root(net)
    layer = net.layers[0]
    lower = np.maximum(layer.lower, [1.0, -9.0])
    net = replace(net, layers=(replace(layer, lower=lower),))
    domain = Domain(Context(net), net.x_lower, np.array([0.0, 0.0]), (), 0)  # z1 = x1 + x2 <= 0 < 1
    assert margins(domain, refresh=True) == np.inf and margins(domain) < 0
    with pytest.raises(Rejected, match="empty"):
        nodes.reduced_domain(domain)
