"""The experiment finds nothing, and finds an engine that depends on how a question is written."""

from benchmarks.soundness import metamorphic
from benchmarks.soundness.metamorphic import run
from benchmarks.soundness.questions import Answer
from benchmarks.soundness.relations import RELATIONS


def test_nothing_is_wrong():
    tally = run(range(3 * len(RELATIONS)), 500)
    assert tally.tried == 3 * len(RELATIONS) and not tally.wrong
    assert all(tally.counts[name] == 3 for name in RELATIONS)


def test_contradictions_are_found(monkeypatch):
    answers = iter(("sat", "unsat") * 30)
    monkeypatch.setattr(metamorphic, "ask", lambda *args: Answer(next(answers)))
    assert any("against" in finding.what for finding in run(range(len(RELATIONS)), 500).wrong)


def test_bounds_that_depend_on_the_order_are_found(monkeypatch):
    calls = iter(range(1000))
    honest = metamorphic.row_bounds
    monkeypatch.setattr(metamorphic, "row_bounds", lambda *args: honest(*args) + 1e-3 * next(calls))
    assert any("row bounds" in finding.what for finding in run(range(len(RELATIONS)), 500).wrong)
