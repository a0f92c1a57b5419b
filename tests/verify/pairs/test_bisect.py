from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from tests.verify.pairs.toys import exact_largest, layers, moved, network, toy_pair, unit_box
from verify.budget import Budget
from verify.errors import InvalidInput
from verify.pairs import bisect
from verify.pairs.bisect import How, between, largest_difference, largest_radius
from verify.pairs.network import pair
from verify.pairs.tie import Tie
from verify.query import InputBox
from verify.result import Verdict


@pytest.mark.parametrize("seed", range(3))
def test_both_ends_enclose_the_exact_largest_difference(seed):
    first = layers(seed)
    second = moved(first, seed)
    found = largest_difference(pair(network(first), network(second)), unit_box(), Budget.seconds(20), 1.05)
    largest = float(exact_largest(first, second))
    assert found.lower <= largest <= found.upper <= 1.05 * found.lower


def test_questions_close_what_the_bounds_leave(monkeypatch):
    """With bounds of the whole box only, the engines do the work, and every step is an answer of theirs."""
    first = layers(1)
    second = moved(first, 1)
    monkeypatch.setattr(bisect.Parts, "cut", lambda self, enough, expired: replace(self, worst=3 * self.worst))
    seen = []
    how = How(watch=lambda progress: seen.append(progress.phase))
    found = largest_difference(pair(network(first), network(second)), unit_box(), Budget.seconds(30), 1.05, how)
    assert found.lower <= float(exact_largest(first, second)) <= found.upper <= 1.06 * found.lower
    proved = [step.value for step in found.steps if step.verdict is Verdict.VERIFIED]
    assert proved and min(proved) == pytest.approx(found.upper)
    assert any(phase.startswith("delta ") for phase in seen)


def test_equal_networks_are_not_apart():
    """The bound is what underflow is charged, and no question is needed."""
    net = toy_pair(0)[0]
    found = largest_difference(pair(net, net), unit_box(), Budget.seconds(5))
    assert found.upper < 1e-200 and found.lower == 0 and not found.steps


def test_without_time_the_bounds_of_the_box_stand():
    both = pair(*toy_pair(1))
    found = largest_difference(both, unit_box(), Budget.seconds(0))
    assert found.lower <= found.upper < np.inf and not found.steps


@pytest.mark.parametrize(("low", "high", "wanted"), [
    (1.0, 4.0, Fraction(2)), (0.0, 1.0, Fraction(1, 1000)), (0.5, np.inf, Fraction(500)), (0.0, np.inf, Fraction(1)),
    (1.0, 1.0 + 2**-40, None), (2.0, 2.0, None),
])
def test_between(low, high, wanted):
    found = between(low, high)
    assert found == wanted if wanted is not None else found is None or low < found < high


def test_the_largest_radius():
    """y = x against y = 1.25 x: apart by |x| / 4, so within 1/8 up to radius 1/2."""
    one = np.ones((1, 1))
    both = pair(network([(one, np.zeros(1))]), network([(1.25 * one, np.zeros(1))]))

    def box(radius: float) -> InputBox:
        return InputBox.from_floats(np.array([-radius]), np.array([radius]))

    radius, steps = largest_radius(both, box, 2.0, 0.125, Budget.seconds(20), 1.02)
    assert 0.49 <= radius < 0.5 and steps[0].verdict is Verdict.FALSIFIED
    assert largest_radius(both, box, 0.25, 0.125, Budget.seconds(20))[0] == 0.25
    assert largest_radius(both, lambda radius: InputBox.from_floats(np.ones(1), np.ones(1)), 1.0, 0.125,
                          Budget.seconds(20))[0] == 0


def test_what_cannot_be_bisected():
    net = toy_pair(0)[0]
    with pytest.raises(InvalidInput, match="same input"):
        largest_difference(pair(net, net, Tie((0,))), unit_box(2), Budget.seconds(1))
    with pytest.raises(InvalidInput, match="above 1"):
        largest_difference(pair(net, net), unit_box(), Budget.seconds(1), 1.0)
    with pytest.raises(InvalidInput, match="positive radius"):
        largest_radius(pair(net, net), lambda radius: unit_box(), 0.0, 1.0, Budget.seconds(1))
