"""Subjects are accepted proofs of true claims, and their neighbours are violated for certain."""

from fractions import Fraction

import pytest
import torch

from benchmarks.soundness.proof_subjects import LARGE, border, subject
from benchmarks.soundness.proofs import accepted
from benchmarks.soundness.tally import Recorder
from tests.soundness.exact import ExactNetwork, find_unsafe
from tests.soundness.random_networks import problem
from tests.verify.bounds.networks import low_points
from verify.onnx_import import from_bytes
from verify.vnnlib import parse_spec

SEED = 10_000


def is_violated(network: bytes, spec: bytes) -> bool:
    return find_unsafe(ExactNetwork.of(from_bytes(network).graph), parse_spec(spec.decode())) is not None


@pytest.mark.parametrize("number", [0, 1, 2, 4, 5, 6])
def test_small_ones(number):
    s = subject(number, SEED)
    if s is None:
        assert problem(SEED + number).unsafe is not None
        return
    assert accepted(s.network, s.spec, s.proof, Recorder()) and not is_violated(s.network, s.spec)
    assert s.neighbours and all(is_violated(*pair) for pair in s.neighbours)


@pytest.mark.parametrize("number", [LARGE - 1, 3 * LARGE - 1])
def test_large_ones(number):
    s = subject(number, SEED)
    assert accepted(s.network, s.spec, s.proof, Recorder())
    (network, text), = s.neighbours
    assert network == s.network and not accepted(network, text, s.proof, Recorder())
    graph, (part,) = from_bytes(network).graph, parse_spec(text.decode()).cases
    least = low_points(graph, part.box.interval(graph.input.shape), torch.eye(1, dtype=torch.float64), 200, 30)
    assert part.disjuncts[0][0].y[0][1] * Fraction(float(least)) + part.disjuncts[0][0].constant < 0


def test_the_border_is_tight():
    p = next(p for p in map(problem, range(20)) if p.unsafe is None)
    safe, violated = border(p)
    assert find_unsafe(p.exact, safe) is None and find_unsafe(p.exact, violated) is not None
