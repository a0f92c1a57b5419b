"""The experiment on relaxations finds nothing, and would find lines that are a little too tight."""

from dataclasses import replace

import pytest

from benchmarks.soundness import relaxations
from benchmarks.soundness.relaxations import run


def test_nothing_is_wrong():
    tally = run(range(90), 2)
    assert tally.tried == 90 and not tally.wrong and tally.counts["intervals"] == 90 * relaxations.COUNT


@pytest.mark.parametrize("side", ["lower_intercept", "upper_intercept"])
def test_tight_lines_are_found(side, monkeypatch):
    honest = relaxations.s_shaped_lines

    def tight(*args):
        lines = honest(*args)
        shift = 1e-5 if side == "lower_intercept" else -1e-5
        return replace(lines, **{side: getattr(lines, side) + shift})

    monkeypatch.setattr(relaxations, "s_shaped_lines", tight)
    assert run(range(90), 2).wrong


def test_a_slope_above_1_is_found(monkeypatch):
    honest = relaxations.relu_lines

    def steep(*args, **kwargs):
        lines = honest(*args, **kwargs)
        return replace(lines, lower_slope=1.001 * lines.lower_slope)

    monkeypatch.setattr(relaxations, "relu_lines", steep)
    assert run(range(90), 2).wrong
