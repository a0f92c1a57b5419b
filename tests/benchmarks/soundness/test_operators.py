"""The experiment on operators finds nothing, and would find an interval that is too narrow."""

import pytest
import torch

from benchmarks.soundness import operators
from verify.bounds import walk
from verify.ops.base import LinearOp
from verify.ops.relu import Relu
from verify.sets import Interval


def test_nothing_is_wrong():
    tally = operators.run(range(320), 3)
    assert tally.tried == 320 and not tally.wrong
    assert tally.counts["float32 runs"] > 1000


def test_a_range_of_cases_is_the_sum_of_its_parts():
    whole, parts = operators.run(range(4, 20), 1), operators.run(range(4, 12), 1) + operators.run(range(12, 20), 1)
    assert whole == parts


@pytest.mark.parametrize("op", [LinearOp, Relu])
def test_narrow_intervals_are_found(op, monkeypatch):
    honest = op.interval

    def narrow(self, *inputs: Interval) -> Interval:
        found = honest(self, *inputs)
        return Interval(found.lower, found.upper - 1e-3 * found.width)

    monkeypatch.setattr(op, "interval", narrow)
    assert operators.run(range(320), 3).wrong


def test_missing_rounding_is_found(monkeypatch):
    monkeypatch.setattr(LinearOp, "rounding", lambda self, *m: torch.zeros_like(self.spread(*m)))
    assert operators.run(range(320), 3).wrong


def test_a_float32_semantics_with_too_little_noise_is_found(monkeypatch):
    honest = walk.noise

    def quiet(*args):
        found = honest(*args)
        return None if found is None else found / 1000

    monkeypatch.setattr(walk, "noise", quiet)
    wrong = operators.run(range(320), 3).wrong
    assert any("outside the interval of the float32 semantics" in finding.what for finding in wrong)


def test_nan_lies_outside():
    unit = Interval(torch.zeros(1, 2), torch.ones(1, 2))
    assert operators.outside(unit, torch.full((3, 2), 0.5, dtype=torch.float64)) == 0
    assert operators.outside(unit, torch.tensor([[0.5, float("nan")]], dtype=torch.float64)) == float("inf")
    assert operators.outside(unit, torch.tensor([[0.5, 1.25]], dtype=torch.float64)) == 0.25
