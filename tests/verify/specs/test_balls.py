"""Norm balls: safe where their boxes are not, refuted inside, membership on rationals."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from tests.verify.specs.models import check, classes, dense, label, linear
from verify import specs
from verify.errors import InvalidInput, ShapeMismatch
from verify.pipeline import Problem
from verify.result import Verdict

CENTRE = [0.125, 0.25]


def in_ball(rng, q, centre, eps, count):
    """Points of the ball, many of them on its surface."""
    u = rng.standard_normal((count, len(centre)))
    if q == np.inf:
        u = rng.uniform(-1, 1, u.shape)
    u /= np.linalg.norm(u, ord=q, axis=1, keepdims=True)
    return np.asarray(centre) + eps * u * np.where(rng.random((count, 1)) < 0.5, 1, rng.random((count, 1)))


BALLS = {1: specs.l1_ball, 2: specs.l2_ball, np.inf: specs.linf_ball}


@pytest.mark.parametrize("q", BALLS)
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("eps", [0.1, 0.5, 1.5])
def test_agree_with_dense_samples(q, seed, eps):
    net = dense(2, 8, 2, seed=seed)
    points = in_ball(np.random.default_rng(seed), q, CENTRE, eps, 5000)
    truth = label(net, CENTRE)
    unsafe = classes(net, points) != truth
    result = check(specs.ask(net.float(), BALLS[q](CENTRE, eps), specs.classified(truth)), unsafe)
    assert result.verdict is (Verdict.FALSIFIED if unsafe.any() else Verdict.VERIFIED)


@pytest.mark.parametrize(("q", "reach"), [(1, 1.0), (2, 2**0.5)])
@pytest.mark.parametrize("inputs", [2, 3])
def test_safe_although_the_box_is_not(q, reach, inputs):
    """x_0 + x_1 is at most eps (l1), sqrt(2) eps (l2), but 2 eps on the box."""
    net = linear([[-1.0, -1.0] + [0.0] * (inputs - 2)])
    below = specs.positive([[1.0]], reach * 1.05), specs.positive([[1.0]], reach * 0.95)
    zero = [0.0] * inputs
    assert specs.ask(net, specs.linf_ball(zero, 1), below[0]).solve(timeout=10).verdict is Verdict.FALSIFIED
    assert specs.ask(net, BALLS[q](zero, 1), below[0]).solve(timeout=20).verdict is Verdict.VERIFIED
    assert specs.ask(net, BALLS[q](zero, 1), below[1]).solve(timeout=20).verdict is Verdict.FALSIFIED


def test_l1_in_many_inputs():
    """The dual norm, by slopes and multiplier together: no splitting would do in 60 dimensions."""
    net = linear([[-1.0] * 60])
    result = specs.ask(net, specs.l1_ball([0.5] * 60, 0.25), specs.positive([[1.0]], 30.5)).solve(timeout=20)
    assert result.verdict is Verdict.VERIFIED


@pytest.mark.parametrize("q", BALLS)
def test_clipped(q):
    """Beyond the valid range the ball would be unsafe; x_0 <= 1 inside."""
    net = linear([[-1.0, 0.0]])
    wanted = specs.positive([[1.0]], 1.125)
    assert specs.ask(net, BALLS[q]([0.875, 0.5], 0.5), wanted).solve(timeout=10).verdict is Verdict.FALSIFIED
    assert specs.ask(net, BALLS[q]([0.875, 0.5], 0.5, clip=(0, 1)), wanted).solve(timeout=10).verdict is \
        Verdict.VERIFIED


@pytest.mark.parametrize(("ball", "eps", "point", "inside"), [
    (specs.l2_ball, 5, [3.0, 4.0], True), (specs.l2_ball, Fraction(5) - Fraction(1, 10**30), [3.0, 4.0], False),
    (specs.l1_ball, 7, [3.0, 4.0], True), (specs.l1_ball, Fraction(7) - Fraction(1, 10**30), [3.0, 4.0], False),
    (specs.linf_ball, 4, [3.0, 4.0], True), (specs.l1_ball, Decimal("0.75"), [0.5, -0.25], True),
])
def test_membership_is_exact(ball, eps, point, inside):
    question = specs.ask(linear([[0.0, 0.0]]), ball([0.0, 0.0], eps), specs.positive([[1.0]], 0.0))
    found = Problem(question.network, question.spec).replayer.check(np.array(point))
    assert (found is not None) is inside


def test_a_rounded_distance_does_not_count():
    """float32 rounds |a| + |b| down to eps; the point is outside."""
    rng = np.random.default_rng(0)
    pairs = rng.random((100, 2), dtype=np.float32)
    a, b = next((a, b) for a, b in pairs if Fraction(float(a + b)) < Fraction(float(a)) + Fraction(float(b)))
    question = specs.ask(linear([[0.0, 0.0]]), specs.l1_ball([0.0, 0.0], float(a + b)), specs.positive([[1.0]], 0.0))
    replayer = Problem(question.network, question.spec).replayer
    assert replayer.output(np.array([a, b]))[1] == a + b
    assert replayer.check(np.array([a, b])) is None


def test_centres_that_float32_does_not_hold():
    """|x - 0.1| over the reals is a distance to the float64 0.1."""
    net, tenth = linear([[1.0]]), 0.1
    question = specs.ask(net, specs.l1_ball([tenth], 0), specs.positive([[1.0]], 0.0))
    row = question.spec.cases[0].disjuncts[0][-1]
    assert row.value([Fraction(tenth)], []) == 0 < row.value([Fraction(1, 10)], [])
    assert question.solve(timeout=10).verdict is Verdict.VERIFIED


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: specs.l2_ball(CENTRE, -1), InvalidInput, "eps must not be negative, got -1"),
    (lambda: specs.l1_ball([], 1), ShapeMismatch, "x is empty"),
    (lambda: specs.linf_ball([0.5, float("nan")], 1), InvalidInput, r"x\[1\] must be a finite number, got nan"),
    (lambda: specs.l2_ball([0.5, 2.0], 0.5, clip=(0, 1)), InvalidInput, r"x\[1\] = 2.0 is more than eps outside clip"),
    (lambda: specs.l2_ball(CENTRE, 0.5, clip=(1, 0)), InvalidInput, "clip must be .low, high. with low <= high"),
    (lambda: specs.box([0.0], [0.0, 1.0]), InvalidInput, r"lower has shape \[1\], upper \[2\]"),
    (lambda: specs.box([0.0, 2.0], [0.0, 1.0]), InvalidInput, r"lower exceeds upper at index \[1\]"),
])
def test_bad_input(make, error, message):
    with pytest.raises(error, match=message):
        make()
