"""Half-spaces hold on the whole ball and touch it."""

from fractions import Fraction

import numpy as np
import pytest

from tests.verify.specs.models import linear
from verify import specs
from verify.onnx_import.module import from_module
from verify.query import LinearConstraint
from verify.result import Verdict
from verify.specs.support import Ball, gradients, root_above

CENTRE = np.array([Fraction(1, 10), Fraction(-2, 3), Fraction(5)])


@pytest.mark.parametrize("power", [1, 2])
def test_contain_the_ball_and_touch_it(power):
    rng = np.random.default_rng(0)
    for g in rng.standard_normal((20, 3)):
        row = Ball(CENTRE, Fraction(1, 3), power).half_space(g)
        u = rng.standard_normal((200, 3))
        u /= np.linalg.norm(u, ord=power, axis=1, keepdims=True)
        deepest = -g / np.linalg.norm(g) if power == 2 else -np.sign(g) * (np.abs(g) == np.abs(g).max())
        values = [float(row.value([c + Fraction(float(d)) / 3 for c, d in zip(CENTRE, point, strict=True)], []))
                  for point in (*u, deepest)]
        assert max(values) <= 1e-15 and abs(values[-1]) < 1e-12


def test_roots_are_above():
    for value in (Fraction(2), Fraction(9, 4), Fraction(1, 3), Fraction(10**40 + 1), Fraction(1, 10**40 + 7)):
        root = root_above(value)
        assert value <= root * root <= value * (1 + Fraction(1, 10**15))
    assert root_above(Fraction(9, 4)) == Fraction(3, 2)


def test_one_for_each_row_with_a_gradient():
    network = from_module(linear([[1.0, 2.0], [0.0, 0.0]]), input_shape=(1, 2))
    rows = tuple(LinearConstraint(((k, Fraction(1)),), Fraction(0)) for k in (0, 1))
    ((row, found),) = gradients(network.graph, CENTRE[:2], rows)
    assert row == rows[0] and found.tolist() == [1.0, 2.0]
    ball = Ball(CENTRE[:2], Fraction(1, 4), 2)
    whole, plane = ball.straightened(row, found), ball.half_space(found)
    assert whole.value([1, 2], [3]) == row.value([1, 2], [3]) + plane.value([1, 2], [3])
    assert ball.factor([found]) == 32 >= (3 + 5**0.5) / 0.25 and ball.factor([]) == 1


@pytest.mark.parametrize(("ball", "reach"), [(specs.l1_ball, 1), (specs.l2_ball, 200**0.5)])
def test_dual_norms_at_the_root(ball, reach):
    """200 inputs: nothing but the dual norm proves it."""
    wanted = specs.positive([[1.0]], 100 + 0.25 * reach * 1.1)
    result = specs.ask(linear([[-1.0] * 200]), ball([0.5] * 200, 0.25), wanted).solve(timeout=20)
    assert result.verdict is Verdict.VERIFIED

