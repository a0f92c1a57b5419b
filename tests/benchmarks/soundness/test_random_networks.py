"""The experiment finds nothing wrong, and finds an engine that was broken on purpose."""

from dataclasses import replace

import pytest

from benchmarks.soundness import random_networks
from benchmarks.soundness.questions import Answer
from benchmarks.soundness.random_networks import complaint, run
from tests.soundness.random_networks import problem
from verify.bounds import root
from verify.result import Result


def test_nothing_is_wrong():
    tally = run(range(0, 96, 3), 20_000)
    assert tally.tried == 32 and not tally.wrong
    assert tally.counts["violated"] > 5 and tally.counts["safe"] > 5
    for engine in (*random_networks.SEARCHES, *random_networks.BOUNDS):
        assert any(name.startswith(engine) for name in tally.counts)


def test_an_optimistic_bound_is_caught(monkeypatch):
    """Root bounds that are too good by a tenth."""
    honest = root.rigorous_rows
    monkeypatch.setattr(root, "rigorous_rows", lambda *args, **kwargs: honest(*args, **kwargs) + 0.1)
    tally = run(range(20), 20_000)
    assert any("unsat, but the property is violated" in finding.what for finding in tally.wrong)
    assert {"network.onnx", "spec.vnnlib"} <= set(tally.wrong[0].files)


@pytest.mark.parametrize("seed", range(4))
def test_complaints(seed):
    p = problem(seed)
    assert not complaint(p, Answer("unknown")) and not complaint(p, Answer("error ValueError"))
    assert bool(complaint(p, Answer("unsat"))) == (p.unsafe is not None)
    if p.unsafe is None:
        assert complaint(p, Answer("sat"))


def test_a_witness_that_is_safe_is_a_complaint():
    p = next(p for p in map(problem, range(20)) if p.unsafe is not None)
    safe = replace(p, spec=replace(p.spec, cases=()))

    class Found:
        x = [0.0] * p.spec.inputs

    result = object.__new__(Result)
    object.__setattr__(result, "witness", Found())
    assert "safe in exact arithmetic" in complaint(safe, Answer("sat", result))
