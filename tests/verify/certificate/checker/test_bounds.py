"""Lines, passes, refreshed bounds and reductions: examples by hand, and exact points."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from tests.verify.certificate.checker import laws
from tests.verify.certificate.checker.test_collapse import BOX, network, rows, small
from verify.certificate.checker import bounds
from verify.certificate.checker.arithmetic import ARITHMETICS, Exact, Float64
from verify.certificate.checker.bounds import Domains, default_alpha, lines, minimum, reduced, refreshed, whole
from verify.certificate.checker.collapse import Collapsed, Collapser
from verify.certificate.checker.ops import Dense, Relu

ALL = pytest.mark.parametrize("arithmetic", ARITHMETICS.values())


def absolute(arithmetic: type, y: float, x=(0.0, 0.0), constant: float = 0.0) -> Collapsed:
    """The row y (relu(x1 + x2) + relu(x1 - x2)) + x . x + constant on the box [-1, 1]^2."""
    net = network((Dense(np.array([[1.0, 1.0], [1.0, -1.0]])), 2), (Relu(), 2), (Dense(np.array([[1.0, 1.0]])), 1))
    return Collapser(net, *BOX, arithmetic, False).finish(rows([y], list(x), constant))


def bound(net: Collapsed, alpha: float = 0.0, signs=(0, 0), beta=(0.0, 0.0)) -> float:
    domain = replace(whole(net), signs=np.array([signs], dtype=np.int8))
    line = lines(net, domain, np.full((1, 2), alpha))
    return float(minimum(net, domain, line, net.weight, net.bias, net.error, np.array([beta]))[0])


@ALL
def test_bounds_by_hand(arithmetic):
    upward, downward = absolute(arithmetic, 1.0), absolute(arithmetic, -1.0)
    sides = absolute(arithmetic, 0.0, (1.0, 1.0))
    wanted = [
        (bound(upward), 0.0), (bound(upward, 1.0), -2.0), (bound(upward, 0.5), -1.0),  # alpha (z1 + z2) = 2 alpha x1
        (bound(downward), -3.0), (bound(downward, 1.0), -3.0),  # -(z1 + z2) / 2 - 2 = -x1 - 2
        (bound(downward, signs=(1, 1)), -2.0), (bound(downward, signs=(-1, 0)), -2.0),
        (bound(downward, signs=(-1, -1)), 0.0),
        (bound(upward, signs=(1, 1)), -2.0), (bound(upward, signs=(1, 1), beta=(1.0, 1.0)), 0.0),
        # x1 + x2 where x1 + x2 >= 0, and where it is <= 0.
        (bound(sides), -2.0), (bound(sides, signs=(1, 0), beta=(1.0, 0.0)), 0.0),
        (bound(sides, signs=(-1, 0), beta=(1.0, 0.0)), -4.0), (bound(sides, signs=(0, 0), beta=(1.0, 0.0)), -2.0),
    ]
    for found, exact in wanted:
        assert exact - 1e-12 < found <= exact


def test_relu_lines_enclose_whatever_the_bounds():
    rng = np.random.default_rng(0)
    size = 2.0 ** rng.uniform(-400, 140, 400)
    low, high = -size * rng.random(400), size * rng.random(400)
    low[:40], high[40:80], low[80:90], high[80:90] = 0.0, 0.0, 2.0**-50, 2.0**-45
    low[90:100], high[90:100], low[100], high[100] = -(2.0**-1074), 2.0**-1074, -1.7e308, 1.7e308
    alpha = rng.random(400)
    with np.errstate(all="ignore"):
        found = bounds.relu_lines(low, high, np.zeros(400, np.int8), alpha, alpha)
    for l, u, a, b, c, d in zip(low.tolist(), high.tolist(), *(part.tolist() for part in found), strict=True):
        low_, high_ = Fraction(l), Fraction(u)
        for z in (low_, high_, Fraction(0) if l <= 0 <= u else high_, (low_ + high_) / 2):
            y = max(z, 0)
            assert Fraction(a) * z + Fraction(b) <= y <= Fraction(c) * z + Fraction(d)
        assert 0 <= a <= 1 and 0 <= c <= 1


def test_split_neurons_have_their_line_whatever_the_bounds():
    low, high = np.array([-1.0, -1.0, 0.5, -1.0]), np.array([1.0, -0.5, 1.0, 1.0])
    a, b, c, d = bounds.relu_lines(low, high, np.array([1, 1, -1, -1]), np.full(4, 0.5), np.zeros(4))
    assert a.tolist() == c.tolist() == [1, 1, 0, 0] and not b.any() and not d.any()


@pytest.mark.parametrize("kind", ["sigmoid", "tanh"])
def test_smooth_lines_leave_room_for_the_slack(kind):
    low, high = np.array([-1.0, 0.0, -3.0]), np.array([1.0, 2.0, -1.0])
    zero = np.zeros(3)
    (a, b, c, d), (p, q, r, s) = (bounds.smooth_lines(kind, slack)(low, high, zero, zero + 0.5, zero + 0.5)
                                  for slack in (0.0, 2.0**-20))
    assert (a == p).all() and (c == r).all()
    for plain, wide in ((b, q), (-d, -s)):
        assert (plain - wide >= 2.0**-20).all() and (plain - wide <= 2.0**-20 + 1e-15).all()
    for z in np.linspace(low, high, 9):
        y = np.tanh(z) if kind == "tanh" else 1 / (1 + np.exp(-z))
        assert (a * z + b <= y + 1e-15).all() and (y - 1e-15 <= c * z + d).all()


def test_numbers_that_are_not_finite_prove_nothing():
    net = absolute(Float64, 1.0, constant=1.0)
    domain = whole(net)
    line = lines(net, domain, np.zeros((1, 2)))
    for bad in (np.nan, np.inf, -np.inf):
        spoilt = np.where(net.weight, bad, 0.0)
        for weight, bias, error in ((spoilt, net.bias, net.error), (net.weight, net.bias * bad, net.error),
                                    (net.weight, net.bias, net.error + bad)):
            with np.errstate(all="ignore"):
                found = minimum(net, domain, line, weight, bias, error)
            assert not (np.isfinite(found) & (found > 0)).any()
        with np.errstate(all="ignore"):
            low, high = bounds.both_sides(net.rows(spoilt, net.bias, net.error))
        assert (low == -np.inf).all() and (high == np.inf).all()


def test_float64_bounds_are_at_most_the_exact_ones_and_close():
    for seed in range(12):
        rng = np.random.default_rng(seed)
        net = laws.random_network(rng, "sigmoid" if seed % 4 == 3 else "relu", 3.0 * (seed % 3))
        center = rng.standard_normal(net.input_shape[1])
        asked = rows(rng.standard_normal(net.output_shape[1]))
        asked = replace(asked, x=np.zeros((1, center.size)), x_error=np.zeros((1, center.size)))
        rounded = Collapser(net, center - 0.5, center + 0.5, Float64, False).finish(asked)
        lift = Exact.lift
        layers = tuple(replace(k, weight=lift(k.weight), bias=lift(k.bias)) for k in rounded.layers)
        exact = replace(rounded, arithmetic=Exact, layers=layers, weight=lift(rounded.weight), bias=lift(rounded.bias))
        domain, alpha = whole(rounded), rng.random((1, rounded.unstable))
        line = lines(rounded, domain, alpha, alpha)
        first, second = (minimum(k, domain, line, k.weight, k.bias, k.error)[0] for k in (rounded, exact))
        size = 1 + np.abs(rounded.weight).sum() * (1 + rounded.reach.sum())
        for layer in rounded.layers:
            size *= 1 + np.abs(layer.weight).sum()
        assert first <= second and second - first <= 1e-13 * size


@ALL
def test_errors_of_layers_are_charged(arithmetic):
    net = absolute(arithmetic, 1.0)
    vague = replace(net, layers=(replace(net.layers[0], error=np.array([0.5, 0.25])),))
    # Of y = z with its error; of alpha z; of what is substituted, and of what is bounded again.
    for signs, alpha, lost in (((1, 1), 0.0, 0.75), ((0, 0), 0.5, 0.375), ((-1, 1), 0.0, 0.25), ((-1, -1), 0.0, 0.0)):
        assert bound(vague, alpha, signs) == pytest.approx(bound(net, alpha, signs) - lost, abs=1e-9)
    domain = replace(whole(vague), x_lower=np.array([[0.75, -0.125]]), x_upper=np.array([[1.0, 0.125]]))
    better, _ = refreshed(vague, domain)
    assert better.lower[0].tolist() == pytest.approx([0.125, 0.375], abs=1e-9)
    smaller = reduced(vague, better)
    assert smaller.unstable == 0 and smaller.error[0] == pytest.approx(0.75, abs=1e-9) and smaller.error[0] >= 0.75


def test_every_rounding_of_a_pass_is_charged():
    net = absolute(Float64, 1.0)
    domain, unit = whole(net), 2.0**-53

    def lost(weight, bias=0.0, alpha=0.0) -> float:
        line, row = lines(net, domain, np.full((1, 2), alpha)), np.array([weight], dtype=np.float64)
        return float(bounds.push(net, domain.signs, line, row, np.array([bias]), np.zeros(1)).error[0]) / unit

    # |x| <= 1 and |z| <= 2: inputs are summed and minimised over; the coefficient of y meets |y|, slope and intercept.
    assert lost([1, 0, 0, 0]) >= 2 * 24 and lost([0, 0, 0, 0], 1.0) >= 24
    assert lost([0, 0, 1, 0]) >= 24 * (2 + 3 * 2 + 2)
    assert lost([0, 0, 1, 0], alpha=1.0) >= lost([0, 0, 1, 0]) + 24 * (2 + 2)  # weight and bias of z, and z


@ALL
def test_refreshed_bounds_by_hand(arithmetic):
    net = absolute(arithmetic, 1.0)
    corner = whole(net)
    parts = Domains(*(np.repeat(a, 3, 0) for a in (corner.x_lower, corner.x_upper, corner.lower, corner.upper,
                                                   corner.signs)))
    parts.x_lower[0], parts.x_upper[1], parts.signs[2] = 0.5, 0.0, 1
    found, empty = refreshed(net, parts)
    wanted = [[(1.0, 2.0), (-0.5, 0.5)], [(-2.0, 0.0), (-1.0, 1.0)], [(-2.0, 2.0), (-2.0, 2.0)]]
    assert not empty.any()
    for d, neurons in enumerate(wanted):
        for k, (low, high) in enumerate(neurons):
            assert low - 1e-12 < found.lower[d, k] <= low and high <= found.upper[d, k] < high + 1e-12


@ALL
def test_empty_domains_are_found_and_others_are_not(arithmetic):
    # z1 = relu(x1) - 2, z2 = relu(x1 + x2): z1 >= 0 is impossible, but 0 lies in its bounds when they are widened.
    net = network((Dense(np.array([[1.0, 0.0], [1.0, 1.0]])), 2), (Relu(), 2),
                  (Dense(np.array([[1.0, 1.0], [-1.0, -1.0]]), np.array([-1.0, 1.0])), 2), (Relu(), 2),
                  (Dense(np.array([[1.0, 1.0]])), 1))
    net = Collapser(net, *BOX, arithmetic, False).finish(rows([1.0]))
    domain = whole(net)
    both = Domains(*(np.repeat(a, 2, 0) for a in (domain.x_lower, domain.x_upper, domain.lower, domain.upper,
                                                  domain.signs)))
    later = net.layers[1].start - net.inputs
    both.lower[0, later] = 0.5  # promised, but on x <= 0 it is -1
    both.x_upper[:] = 0.0
    found, empty = refreshed(net, both)
    assert empty.tolist() == [True, False]
    assert (found.lower <= found.upper).all()


def test_bounds_that_are_nan_make_no_neuron_stable():
    net = absolute(Float64, 1.0)
    domain = whole(net)
    assert reduced(net, replace(domain, lower=domain.lower * np.nan)).unstable == 2
    assert reduced(net, replace(domain, lower=domain.lower * np.nan, upper=domain.upper * np.nan)).unstable == 2


@ALL
def test_a_reduction_by_hand(arithmetic):
    net = absolute(arithmetic, 1.0, (0.0, 3.0))
    domain = whole(net)
    domain = replace(domain, x_lower=np.array([[0.5, -0.25]]), x_upper=np.array([[1.0, 1.0]]),
                     signs=np.array([[0, 1]], dtype=np.int8))
    better, _ = refreshed(net, domain)
    small_ = reduced(net, better)
    # z1 = x1 + x2 >= 0.25 is substituted; z2 is split and stays with its side.
    assert small_.unstable == 1 and small_.signs.tolist() == [1] and small_.layers[0].neurons.tolist() == [1]
    assert arithmetic.below(small_.weight).tolist() == [[1.0, 4.0, 1.0]]
    assert small_.x_lower.tolist() == [0.5, -0.25]


def test_columns_without_layers():
    net = Collapser(small(), *BOX, Float64, False).finish(rows([1.0]))
    tiny = Domains(*(np.array([[v, v]]) for v in (1.0, 1.0)), net.joined("lower")[None], net.joined("upper")[None],
                   net.signs[None])
    flat = reduced(net, refreshed(net, tiny)[0])
    domain = whole(flat)
    found = minimum(flat, domain, lines(flat, domain, default_alpha(flat, domain)), flat.weight, flat.bias, flat.error)
    assert flat.unstable <= 1 and 10 - 1e-12 < found[0] <= 10  # 2 + 0 + 2 * 4
