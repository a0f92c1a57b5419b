"""The experiment finds nothing wrong, and finds engines that were broken on purpose."""

from dataclasses import replace
from fractions import Fraction

import pytest

from benchmarks.soundness.curved_networks import SECONDS, WAYS, complaint, run
from benchmarks.soundness.questions import Answer
from tests.soundness.curved_networks import KINDS, curved_problem
from verify.bounds.dual import DualProblem
from verify.linear_form import LinearForm
from verify.result import Result

UNSAFE = [k for k in range(40) if curved_problem(20_000 + k).unsafe is not None][:12]


def test_nothing_is_wrong():
    tally = run(range(0, 4 * len(KINDS), 9), 20_000)
    assert tally.tried == 8 and not tally.wrong
    assert len(WAYS) * SECONDS < 10


@pytest.mark.parametrize("owner, name", [(LinearForm, "minimum"), (DualProblem, "rigorous")])
def test_optimistic_bounds_are_caught(owner, name, monkeypatch):
    honest = getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *args, **kwargs: honest(*args, **kwargs) + 1.0)
    wrong = [finding for k in UNSAFE for finding in run(range(k, k + 1), 20_000).wrong]
    assert any("unsat, but unsafe at" in finding.what for finding in wrong)
    assert {"network.onnx", "spec.vnnlib"} <= set(wrong[0].files)


def test_complaints():
    violated = curved_problem(20_000 + UNSAFE[0])
    assert complaint(violated, Answer("unsat")) and not complaint(violated, Answer("timed-out"))
    assert not complaint(violated, Answer("error ValueError"))
    safe = next(p for p in map(curved_problem, range(20_000, 20_040)) if p.unsafe is None and not p.jumps)

    class Found:
        x = tuple(float(v) for v in safe.spec.cases[0].box.lower)

    result = object.__new__(Result)
    object.__setattr__(result, "witness", Found())
    far = replace(safe, spec=replace(safe.spec, cases=tuple(
        replace(case, disjuncts=tuple(tuple(replace(h, constant=Fraction(10**6)) for h in d) for d in case.disjuncts))
        for case in safe.spec.cases)))
    assert "safe" in complaint(far, Answer("sat", result))
    assert not complaint(safe, Answer("unsat"))
