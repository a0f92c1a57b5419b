"""The experiment finds nothing, and would find an interval and a line that are off by little."""

import pytest
import torch

from benchmarks.soundness import curves
from benchmarks.soundness.curves import run
from tests.conformance import test_curves
from tests.conformance.curves import CURVES
from verify.ops import Sin
from verify.sets import Interval

SIN = 2 * tuple(CURVES).index("sin")


def test_nothing_is_wrong():
    tally = run(range(0, 60, 13), 900)
    assert tally.tried == 5 and not tally.wrong and tally.counts["intervals"] >= 10_000
    assert curves.EXPERIMENT.full() * 2100 >= 2000 * 2 * len(CURVES)


def test_other_rounds_try_other_intervals():
    first, second = (test_curves.intervals("sin", torch.float64, 10, seed) for seed in (0, 1))
    assert not torch.equal(first.lower, second.lower)


@pytest.mark.parametrize("what", ["interval", "line"])
def test_what_is_off_is_found(what, monkeypatch):
    if what == "interval":
        honest = Sin.interval
        monkeypatch.setattr(Sin, "interval", lambda self, *pre: Interval(honest(self, *pre).lower + 1e-9,
                                                                         honest(self, *pre).upper))
    else:
        line = test_curves.intercept
        monkeypatch.setattr(test_curves, "intercept", lambda *args, **more: line(*args, **more) + 1e-9)
    assert run(range(SIN, SIN + 1), 900).wrong
