"""Boxes around balls and ellipsoids: points inside are kept, the box is tight, the root is above."""

import random
from fractions import Fraction

import numpy as np
import pytest

from tests.verify.vnnlib.v2.texts import HEADER, network, query, tensor
from verify.errors import InvalidInput
from verify.query import LinearConstraint
from verify.vnnlib import parse_spec
from verify.vnnlib.ball import ball_limits, quadratic, root_above


@pytest.mark.parametrize("value", [Fraction(0), Fraction(1), Fraction(2), Fraction(1, 3), Fraction(10) ** 300,
                                   Fraction(1, 10**300), Fraction(9, 4), Fraction(10**40 + 1, 10**40)])
def test_roots(value):
    root = root_above(value)
    assert root * root >= value >= (root * (1 - Fraction(1, 2**60))) ** 2
    assert root_above(Fraction(9, 4)) == Fraction(3, 2)


def row(square, linear, constant):
    """Squares of inputs 0, 1, 2 are read by the numbers 5, 6, 7."""
    return LinearConstraint(tuple((5 + k, Fraction(a)) for k, a in square.items()), Fraction(constant),
                            tuple((k, Fraction(b)) for k, b in linear.items()))


SQUARES = {5: 0, 6: 1, 7: 2}


def test_a_ball_by_hand():
    """(x0 - 1)^2 + 4 (x1 + 1/2)^2 <= 4."""
    form = quadratic(row({0: 1, 1: 4}, {0: -2, 1: 4}, 1 + 1 - 4), SQUARES)
    low, high = Fraction(-3, 2), Fraction(1, 2)
    assert ball_limits(form, {}) == {(0, False): -1, (0, True): 3, (1, False): low, (1, True): high}


def test_what_is_no_ball():
    assert quadratic(row({0: -1}, {}, 0), SQUARES) is None and quadratic(row({}, {0: 1}, 0), SQUARES) is None
    assert quadratic(LinearConstraint(((1, Fraction(1)),), Fraction(0)), SQUARES) is None
    unbounded = quadratic(row({0: 1}, {1: 1}, 0), SQUARES)
    assert ball_limits(unbounded, {}) == {} and ball_limits(unbounded, {(1, False): Fraction(-4)})[0, True] == 2
    empty = ball_limits(quadratic(row({0: 1}, {}, 1), SQUARES), {})
    assert empty[0, False] > empty[0, True]


@pytest.mark.parametrize("seed", range(30))
def test_no_point_is_lost(seed):
    rng = random.Random(seed)
    square = {k: Fraction(rng.randint(1, 5), 2) for k in range(2)}
    linear = {k: Fraction(rng.randint(-4, 4)) for k in range(3)}
    form = quadratic(row(square, linear, Fraction(rng.randint(-9, 3))), SQUARES)
    given = {(2, False): Fraction(-1), (2, True): Fraction(1)}
    found = ball_limits(form, given)
    for _ in range(300):
        x = [Fraction(rng.randint(-40, 40), 10) for _ in range(2)] + [Fraction(rng.randint(-10, 10), 10)]
        value = form.constant + sum(a * x[k] ** 2 for k, a in square.items()) + sum(b * x[k] for k, b in linear.items())
        if value <= 0:
            assert all(found[k, False] <= x[k] <= found[k, True] for k in range(2))


def test_a_query_that_bounds_its_inputs_by_a_ball_only():
    ball = "(assert (<= (+ (* (- X[0,0] 0.5) (- X[0,0] 0.5)) (* X[0,1] X[0,1])) 0.0625))"
    spec = parse_spec(HEADER + network() + ball + "(assert (<= Y[0,0] 0.0))")
    (case,) = spec.cases
    assert case.box.lower.tolist() == [0.25, -0.25] and case.box.upper.tolist() == [0.75, 0.25]
    y = np.array([-1.0, 0.0])
    assert spec.unsafe(np.array([0.75, 0.0]), y) and spec.unsafe(np.array([0.5, -0.25]), y)
    assert not spec.unsafe(np.array([0.75, 0.125]), y)
    with pytest.raises(InvalidInput, match="contradict each other"):
        parse_spec(HEADER + network() + ball.replace("0.0625", "-0.0625"))


def test_the_braking_distance_of_a_car():
    """x0 >= x1^2 / 200 bounds the speed by the distance (the adaptive cruise control of the competition)."""
    text = f"(declare-network f {tensor('input', 'X')} {tensor('output', 'Y')})\n"
    limits = "(assert (and (>= X[0,0] 0.0) (<= X[0,0] 50.0) (>= X[0,1] -200.0) (<= X[0,1] 200.0)))"
    spec = parse_spec(query("(assert (>= (* X[0,0] 200.0) (* X[0,1] X[0,1])))", text, limits))
    assert spec.cases[0].box.upper.tolist() == [50, 100] and spec.cases[0].box.lower.tolist() == [0, -100]
