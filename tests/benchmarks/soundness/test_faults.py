"""The experiment finds nothing, reaches its faults, and would find verifiers that take a failure for an answer."""

import numpy as np
import pytest

from benchmarks.soundness import faults
from benchmarks.soundness.faults import FAULTS, run
from benchmarks.soundness.questions import Answer
from benchmarks.soundness.tally import Recorder
from tests.soundness.random_networks import problem
from verify.lp import leaf


def test_nothing_is_wrong():
    tally = run(range(8 * len(FAULTS)), 300)
    assert tally.tried == 8 * len(FAULTS) and not tally.wrong
    assert all(tally.counts[name] == 8 for name in FAULTS)
    assert tally.counts["weight: error InvalidInput"] == 8
    assert tally.counts["failed calls that happened"] and tally.counts["killed before the answer"]
    assert "dual bound" in tally.notes[0]


@pytest.mark.parametrize("name", ["no_memory", "nan_bounds", "lying_search", "spoiled_weight"])
def test_a_verdict_after_a_failure_is_found(name, monkeypatch):
    monkeypatch.setattr(faults, "ask", lambda *args: Answer("unsat"))
    p = next(p for p in map(problem, range(20)) if p.unsafe is not None)
    assert "unsat" in FAULTS[name](p, np.random.default_rng(0), Recorder())


def test_a_verifier_that_believes_its_solver_is_found(monkeypatch):
    monkeypatch.setattr(leaf, "safe_lower_bound", lambda program, duals: 1e3)
    p, rng = problem(0), np.random.default_rng(0)
    assert any(FAULTS["lying_leaf"](p, rng, Recorder()) for _ in range(5))
