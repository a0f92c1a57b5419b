"""The experiment on hidden counterexamples with short training."""

import pytest

from benchmarks.soundness import hidden
from benchmarks.soundness.hidden import run
from benchmarks.soundness.questions import Answer
from benchmarks.soundness.training import Settings


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(hidden, "SHAPES", (Settings(inputs=16, hidden=(20,), steps=60),))
    monkeypatch.setattr(hidden, "SECONDS", 0.5)


def test_nothing_is_wrong():
    tally = run(range(1), 0)
    assert tally.tried == 1 and not tally.wrong
    assert {name.split(":")[0] for name in tally.counts} == {"attack", "bab", "blind bab"}


def test_unsat_is_wrong(monkeypatch):
    monkeypatch.setattr(hidden, "ask", lambda *args, **kwargs: Answer("unsat"))
    tally = run(range(1), 0)
    assert len(tally.wrong) == 3 and {"network.onnx", "spec.vnnlib", "planted.txt"} == set(tally.wrong[0].files)


def test_planted_points_that_are_safe_are_skipped(monkeypatch):
    monkeypatch.setattr(hidden.Replayer, "check", lambda *args: None)
    tally = run(range(1), 0)
    assert (tally.tried, tally.skipped) == (0, 1)
