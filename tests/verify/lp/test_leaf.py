"""Leaves: sound bounds, replayable candidates, empty regions, and solvers that lie."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.verify.lp.networks import evaluate, pattern_minimum, patterns, random_compact, true_minimum
from verify.bounds.compact import CompactLayer, CompactNetwork
from verify.lp.backend import Backend, free_backend
from verify.lp.leaf import decide_leaf, decide_milp
from verify.lp.model import LpSolution, MilpSolution, SolveStatus
from verify.ops import Relu, Sigmoid


@pytest.mark.parametrize("seed", range(6))
def test_fixed_leaves_decide(seed):
    compact = random_compact(seed, shift=0.5)
    for signs in patterns(compact):
        truth, answer = pattern_minimum(compact, [0, 1], signs), decide_leaf(compact, [0, 1], signs, 10.0)
        assert answer.bound <= truth + 1e-9 or np.isinf(truth)
        if truth > 1e-4 and np.isfinite(truth):
            assert answer.bound > 0
        if truth < -1e-4:
            assert answer.exact and answer.bound <= 0
            assert evaluate(compact, answer.candidate).max() < 0


def test_empty_regions_are_closed():
    closed = 0
    for seed in range(4):
        compact = random_compact(seed)
        for signs in patterns(compact):
            if np.isinf(pattern_minimum(compact, [0, 1], signs)):
                closed += decide_leaf(compact, [0, 1], signs, 10.0).bound > 0
                assert decide_milp(compact, [], signs, 10.0).bound > 0
    assert closed > 10


def test_milp_decides_the_whole_box():
    decided = 0
    for seed in range(12):
        compact = random_compact(seed, shift=0.5 * (seed % 3))
        truth, answer = true_minimum(compact, [0, 1]), decide_milp(compact, [0, 1], None, 10.0)
        if truth > 1e-3:
            assert answer.bound > 0
        if truth < -1e-3:
            assert answer.bound <= 0 and evaluate(compact, answer.candidate).max() <= 0
        assert answer.bound <= truth + 1e-6
        decided += abs(truth) > 1e-3
    assert decided >= 10


def test_partial_signs_are_relaxations():
    for seed in range(4):
        compact = random_compact(seed)
        signs = np.array([1, 0, 0, -1, 0, 0], dtype=np.int8)
        truth = min(
            pattern_minimum(compact, [0], s) for s in patterns(compact) if ((signs == 0) | (signs == s)).all()
        )
        answer = decide_leaf(compact, [0], signs, 10.0)
        assert not answer.exact
        assert answer.bound <= truth + 1e-9


def test_degenerate_boxes_and_disjuncts():
    point = random_compact(3, radius=0.0)
    truth = evaluate(point, np.zeros(2))
    for decide in (decide_leaf, decide_milp):
        answer = decide(point, [0], None, 10.0)
        assert answer.bound <= truth[0] + 1e-9
        assert (answer.bound > 0) == (truth[0] > 1e-3)
        assert decide(random_compact(0), [], None, 10.0).bound <= 0
        assert decide(random_compact(0, sizes=()), [0], None, 10.0).exact


def test_sigmoid_leaves_are_relaxed_only():
    compact = random_compact(0, op=Sigmoid(), dtype=torch.float32)
    lowest = min(evaluate(compact, x).max() for x in np.random.default_rng(0).uniform(-1, 1, (200, 2)))
    for decide in (decide_leaf, decide_milp):
        answer = decide(compact, [0, 1], None, 10.0)
        assert not answer.exact and answer.bound <= lowest


def liar(status: SolveStatus, duals, bound: float) -> Backend:
    """A solver that claims what it is told."""
    return Backend(
        "liar", lambda lp, *_: LpSolution(status, np.full(lp.columns, np.nan), duals(lp), 1e9),
        lambda lp, *_: MilpSolution(status, bound, None, 1e9),
    )


@pytest.mark.parametrize("status", list(SolveStatus))
def test_lying_solvers_close_nothing(status):
    rng = np.random.default_rng(0)
    answers = (
        lambda lp: None, lambda lp: np.full(lp.rows, np.nan), lambda lp: 1e6 * rng.standard_normal(lp.rows),
        lambda lp: np.full(lp.rows, np.inf), lambda lp: np.ones(3),
    )
    for seed in range(4):
        compact = random_compact(seed, shift=-4.0)
        truth = true_minimum(compact, [0, 1])
        assert truth < 0
        for duals in answers:
            answer = decide_leaf(compact, [0, 1], None, 1.0, liar(status, duals, np.nan))
            assert answer.bound <= 0 and answer.candidate is None
        for bound in (np.nan, np.inf, -np.inf, 1e-7):
            assert decide_milp(compact, [0, 1], None, 1.0, 1, liar(status, answers[0], bound)).bound <= 0


def test_no_time_is_no_answer():
    compact = random_compact(0, sizes=(8, 8))
    for decide in (decide_leaf, decide_milp):
        assert decide(compact, [0], None, 0.0, backend=free_backend()).bound <= 0


def scaled_network(first: float, second: float, shift: float) -> CompactNetwork:
    """h = relu(a + b) + relu(a - b) + shift with a, b = relu(x0 + x1), relu(x0 - x1) on [-1, 1]^2, whose minimum is
    `shift`; the first layer in units of `first`, the second in units of `first` `second`."""
    one = torch.ones(2, dtype=torch.float64)
    mix = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)
    none, a, b = torch.zeros(2, 2, dtype=torch.float64), first, first * second
    layers = (
        CompactLayer("a", Relu(), torch.arange(2), 2, mix * a, 0 * one, 0 * one, -2 * a * one, 2 * a * one),
        CompactLayer("b", Relu(), torch.arange(2), 4, torch.cat([none, mix * second], 1), 0 * one, 0 * one,
                     -4 * b * one, 4 * b * one),
    )
    row = torch.tensor([[0.0, 0.0, 0.0, 0.0, 1 / b, 1 / b]], dtype=torch.float64)
    return CompactNetwork(torch.arange(2), -one, one, layers, row, 0 * one[:1] + shift, 0 * one[:1])


@pytest.mark.parametrize("first, second", [(0, 0), (-40, 40), (40, -40), (-60, 20), (-20, -30)])
def test_a_network_in_other_units_gets_the_same_answer(first, second):
    """Scaled by 2^-40 and back by 2^40, solvers drop the first layer; what is left looked proved."""
    for shift, proved in ((-0.1, False), (0.1, True)):
        result = decide_milp(scaled_network(2.0**first, 2.0**second, shift), [0], None, 20.0)
        assert (result.bound > 0) is proved, (shift, result)


def test_overflow_is_no_answer():
    broken = replace(random_compact(0), row_error=torch.tensor([torch.inf, 0.0], dtype=torch.float64))
    for decide in (decide_leaf, decide_milp):
        answer = decide(broken, [0, 1], None, 10.0)
        assert answer.bound == -np.inf and answer.status is SolveStatus.FAILED
