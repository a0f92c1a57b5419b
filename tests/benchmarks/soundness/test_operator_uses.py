"""The experiment finds nothing, and knows by which operator a bound is broken."""

from benchmarks.soundness.operator_uses import run
from tests.soundness.operator_table import USES
from verify.ops import Sin
from verify.sets import Interval


def test_nothing_is_wrong():
    cases = range(0, 2 * len(USES), 9)
    tallies = [run(range(k, k + 1), 6) for k in cases]
    assert all(tally.tried == 1 and not tally.wrong for tally in tallies)


def test_the_broken_operator_is_named(monkeypatch):
    honest = Sin.interval

    def narrow(self, *inputs: Interval) -> Interval:
        found = honest(self, *inputs)
        return Interval(found.lower + 0.01 * found.width, found.upper)

    monkeypatch.setattr(Sin, "interval", narrow)
    k = tuple(USES).index("Sin")
    wrong = [run(range(k + turn * len(USES), k + turn * len(USES) + 1), 6).wrong for turn in range(3)]
    assert any(found and found[0].what.startswith("Sin: intervals") for found in wrong)
