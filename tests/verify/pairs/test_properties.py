"""Properties of pairs: by hand at points, and as verdicts of the engines against exact enumeration."""

from fractions import Fraction

import numpy as np
import pytest

from tests.verify.pairs.toys import exact_largest, layers, moved, network, unit_box
from verify.budget import Budget
from verify.errors import InvalidInput
from verify.pairs.network import pair
from verify.pairs.properties import agreement, equivalence, monotone
from verify.pairs.tie import SHARED, Tie
from verify.pipeline import Problem, solve
from verify.query import InputBox

BOX = InputBox.from_floats(np.array([0.0, -1.0]), np.array([1.0, 1.0]))


def unsafe(spec, x, y) -> bool:
    return spec.unsafe(np.array(x, dtype=float), np.array(y, dtype=float))


def test_equivalence_by_hand():
    spec = equivalence(BOX, 2, 0.5)
    assert not unsafe(spec, [0, 0], [1, 2, 1.5, 2]), "apart by exactly delta is allowed"
    assert unsafe(spec, [0, 0], [1, 2, 1.5, 2.625]) and unsafe(spec, [0, 0], [1, 2, 0.25, 2])
    assert (spec.inputs, spec.outputs) == (2, 4)


@pytest.mark.parametrize(("best", "y", "bad"), [
    ("max", [3, 1, 2, 1], False), ("max", [3, 1, 1, 2], True), ("max", [3, 1, 2, 2], True),
    ("min", [3, 1, 2, 1], False), ("min", [1, 3, 2, 1], True),
])
def test_agreement_by_hand(best, y, bad):
    assert unsafe(agreement(BOX, 2, best), [0, 0], y) == bad


def test_monotone_by_hand():
    tie = Tie((1,))
    spec = monotone(BOX, 2, tie, falling=(1,), delta=0.5)
    assert spec.inputs == 3 and spec.cases[0].box.upper.tolist() == [1, 1, 2]
    assert not unsafe(spec, [0, 0, 0.5], [1, 1, 0.5, 1.5])
    assert unsafe(spec, [0, 0, 0.5], [1, 1, 0.25, 1]) and unsafe(spec, [0, 0, 0.5], [1, 1, 1, 1.75])
    assert not unsafe(spec, [0, 0, 1.5], [1, 1, 0.25, 1]), "x' is outside of the box"


@pytest.mark.parametrize("call", [
    lambda: equivalence(BOX, 2, -1), lambda: equivalence(BOX, 2, float("nan")), lambda: agreement(BOX, 1),
    lambda: agreement(BOX, 2, "best"), lambda: monotone(BOX, 2, SHARED), lambda: monotone(BOX, 2, Tie((2,))),
    lambda: monotone(BOX, 2, Tie((0, 0))), lambda: monotone(BOX, 2, Tie((0,)), rising=()),
    lambda: monotone(BOX, 2, Tie((0,)), falling=(5,)),
])
def test_nonsense_is_refused(call):
    with pytest.raises(InvalidInput):
        call()


def verdict(both, spec, method="portfolio", dtype="float64") -> str:
    return solve(Problem(both.network, spec), method, Budget.seconds(20), "cpu", dtype).as_vnncomp


@pytest.mark.parametrize("coupled", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_verdicts_of_tiny_pairs_are_the_exact_ones(seed, coupled):
    """Just above the largest difference the pair is equivalent, just below it is not."""
    first = layers(seed)
    second = moved(first, seed)
    largest = exact_largest(first, second)
    both = pair(network(first), network(second), coupled=coupled)
    assert largest > 0
    assert verdict(both, equivalence(unit_box(), 2, largest * Fraction(101, 100))) == "unsat"
    assert verdict(both, equivalence(unit_box(), 2, largest * Fraction(99, 100))) == "sat"
    for method, dtype in (("crown", "float32"), ("bab", "float64"), ("alpha-crown", "float64")):
        assert verdict(both, equivalence(unit_box(), 2, largest * Fraction(99, 100)), method, dtype) != "unsat"


@pytest.mark.parametrize("activation", ["Tanh", "Sigmoid"])
def test_smooth_pairs(activation):
    """Sampled differences: a little above the largest is proved, a little below is refuted."""
    first = layers(7)
    nets = [network(whole, activation) for whole in (first, moved(first, 7))]
    both = pair(*nets)
    import torch

    x = torch.linspace(-1, 1, 2001).double().reshape(-1, 1, 1)
    largest = float((nets[0].graph.evaluate(x) - nets[1].graph.evaluate(x)).abs().max())
    assert verdict(both, equivalence(unit_box(), 2, 1.05 * largest)) == "unsat"
    assert verdict(both, equivalence(unit_box(), 2, 0.95 * largest)) == "sat"


def test_monotone_networks():
    """y = relu(x_0) - relu(x_1): rises with x_0 and falls with x_1."""
    weights = [(np.array([[1.0, 0], [0, 1.0]]), np.zeros(2)), (np.array([[1.0, -1.0]]), np.zeros(1))]
    net = network(weights)
    box = InputBox.from_floats(-np.ones(2), np.ones(2))
    for raised, falling, wanted in ((0, (), "unsat"), (0, (0,), "sat"), (1, (), "sat"), (1, (0,), "unsat")):
        tie = Tie((raised,))
        both = pair(net, net, tie)
        assert verdict(both, monotone(box, 1, tie, falling=falling, delta=1e-6)) == wanted
    assert verdict(pair(net, net, tie, coupled=False), monotone(box, 1, tie, falling=(0,), delta=0.01)) == "unsat"


def test_agreement_of_classifiers():
    """y = (x, -x) against (x + s, -x): the largest outputs agree on [0.5, 1] for s = 1/8, not for s = -2."""
    box = InputBox.from_floats(np.array([0.5]), np.array([1.0]))
    weight = np.array([[1.0], [-1.0]])
    first = network([(weight, np.zeros(2))])
    for shift, wanted in ((0.125, "unsat"), (-2.0, "sat")):
        assert verdict(pair(first, network([(weight, np.array([shift, 0]))])), agreement(box, 2)) == wanted
