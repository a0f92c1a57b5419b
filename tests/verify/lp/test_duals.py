"""What an LP proves about a leaf, the collapsed network's own dual bound proves with the LP's multipliers."""

import numpy as np
import pytest
import torch

from tests.verify.lp.networks import pattern_minimum, patterns, random_compact
from verify.bounds.dual import DualProblem
from verify.lp.duals import dual_params
from verify.lp.encode import encode, z_multipliers
from verify.lp.leaf import decide_leaf
from verify.ops import Sigmoid


def bound_of(compact, params, signs):
    given = None if signs is None else torch.from_numpy(signs).reshape(1, -1)
    return float(DualProblem.of(compact.to(dtype=torch.float64)).rigorous(params, given)[0])


@pytest.mark.parametrize("rows", [[0], [0, 1]])
def test_a_leaf_with_all_neurons_fixed(rows):
    solved = empty = 0
    for seed in range(4):
        compact = random_compact(seed, shift=2.0)
        for signs in patterns(compact):
            answer = decide_leaf(compact, rows, signs, 10.0, evidence=True)
            assert (answer.params is not None) == (answer.bound > 0)
            if answer.params is None:
                continue
            found = bound_of(compact, answer.params, signs)
            assert bool((answer.params.beta >= 0).all())
            assert float(answer.params.weights.sum()) == pytest.approx(1) and not answer.params.weights[0, 1:][
                [r not in rows for r in range(1, 2)]].any()
            if np.isinf(pattern_minimum(compact, rows, signs)):
                assert found > 0  # how far is a matter of scale
                empty += 1
            else:
                assert found == pytest.approx(answer.bound, rel=1e-6, abs=1e-6)
                solved += 1
    assert solved > 20 and empty > 20


@pytest.mark.parametrize("sizes", [(3, 3), (6, 5, 4)])
def test_a_leaf_with_open_neurons(sizes):
    rng, seen = np.random.default_rng(0), 0
    for seed in range(20):
        compact = random_compact(seed, sizes, inputs=3, shift=3.0)
        signs = rng.choice([-1, 0, 0, 1], sum(sizes)).astype(np.int8)
        answer = decide_leaf(compact, [0, 1], signs, 10.0, evidence=True)
        if answer.params is None:
            continue
        found = bound_of(compact, answer.params, signs)
        assert found > 0 and (found > answer.bound or found == pytest.approx(answer.bound, rel=1e-6, abs=1e-6))
        seen += 1
    assert seen >= 8


def test_an_empty_leaf_of_an_empty_conjunction():
    compact, seen = random_compact(1), 0
    for signs in patterns(compact):
        if np.isinf(pattern_minimum(compact, [0, 1], signs)):
            answer = decide_leaf(compact, [], signs, 10.0, evidence=True)
            if answer.bound > 0:
                assert not answer.params.weights.any() and bound_of(compact, answer.params, signs) > 0
                seen += 1
    assert seen > 5


def test_s_shaped_layers_keep_the_line_that_the_program_has():
    compact = random_compact(0, op=Sigmoid(), shift=6.0)
    answer = decide_leaf(compact, [0, 1], None, 10.0, evidence=True)
    assert answer.bound > 0 and not answer.params.alpha.any()
    assert 0 < bound_of(compact, answer.params, None) <= answer.bound + 1e-9


def test_useless_duals_are_sound():
    """Any multipliers give parameters, and any parameters a bound that holds."""
    rng = np.random.default_rng(1)
    compact = random_compact(2)
    for signs in list(patterns(compact))[::5]:
        truth = pattern_minimum(compact, [0, 1], signs)
        program = encode(compact, [0, 1], signs)
        for duals in (np.zeros(program.rows), 1e3 * rng.standard_normal(program.rows)):
            params = dual_params(compact, [0, 1], signs, duals)
            assert not bound_of(compact, params, signs) > truth


def test_the_multiplier_of_z_is_the_sum_over_its_rows():
    compact = random_compact(0, sizes=(2,), rows=1)
    signs = np.array([1, 0], dtype=np.int8)
    # Rows: h, then z <= y of both neurons, the chord of neuron 1, y <= z of neuron 0.
    duals = np.array([-1.0, 10.0, 20.0, -3.0, -4.0])
    assert z_multipliers(compact, [0], signs, duals).tolist() == [6.0, 17.0]
