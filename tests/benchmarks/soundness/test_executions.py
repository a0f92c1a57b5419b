"""The experiment finds nothing wrong, and finds a verifier that takes the real claim for the float32 one."""

from fractions import Fraction

import numpy as np

from benchmarks.soundness import executions
from benchmarks.soundness.executions import near, run
from benchmarks.soundness.questions import ask
from tests.soundness.nets import case


def test_nothing_is_wrong():
    tally = run(range(10), 10_010)
    assert tally.tried >= 3 and not tally.wrong
    assert tally.counts["executions"] >= 100


def test_a_verifier_that_forgets_rounding_is_caught(monkeypatch):
    monkeypatch.setattr(executions, "ask", lambda *args, **kwargs: ask(*args, **{**kwargs, "semantics": "real"}))
    assert any("an execution at" in finding.what for finding in run(range(12, 15), 10_000).wrong)


def test_points_near_by_are_floats_of_the_box():
    rng, third = np.random.default_rng(0), [Fraction(1, 3), Fraction(1)]
    box = case([0, 1], [1, 1], [])
    found = [near(third, box, rng) for _ in range(30)]
    assert all(x.dtype == np.float32 and x[1] == 1 and abs(x[0] - 1 / 3) < 1e-6 for x in found)
    assert len({float(x[0]) for x in found}) > 1
    assert near([Fraction(1, 10)], case([Fraction(1, 10)], [Fraction(1, 10)], []), rng) is None
