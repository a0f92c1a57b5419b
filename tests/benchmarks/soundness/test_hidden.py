"""The experiment on hidden counterexamples with very short training."""

from benchmarks.soundness import hidden
from benchmarks.soundness.hidden import run
from benchmarks.soundness.questions import Answer
from benchmarks.soundness.training import Settings

QUICK = (Settings(inputs=9, hidden=(24,), boxes=2, restarts=6, attack_steps=3),)


def test_nothing_is_wrong(monkeypatch):
    monkeypatch.setattr(hidden, "SHAPES", QUICK)
    monkeypatch.setattr(hidden, "SECONDS", 0.5)
    tally = run(range(1), 0, steps=150)
    assert tally.tried + tally.skipped == 2 and tally.tried and not tally.wrong


def test_unsat_is_wrong(monkeypatch):
    monkeypatch.setattr(hidden, "SHAPES", QUICK)
    monkeypatch.setattr(hidden, "ask", lambda *args, **kwargs: Answer("unsat"))
    tally = run(range(1), 0, steps=150)
    assert len(tally.wrong) == 2 * tally.tried and "planted.txt" in tally.wrong[0].files


def test_planted_points_that_are_safe_are_skipped(monkeypatch):
    monkeypatch.setattr(hidden, "SHAPES", QUICK)
    monkeypatch.setattr(hidden.Replayer, "check", lambda *args: None)
    assert run(range(1), 0, steps=2).skipped == 2
