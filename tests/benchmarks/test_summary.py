from __future__ import annotations

import pytest

from benchmarks.summary import aligned, par2, summarise, table
from tests.benchmarks.make import row


def test_counts_median_and_par2_by_hand():
    rows = [row(wall_s=1.0), row(wall_s=2.0), row(wall_s=6.0), row(verdict="unknown", wall_s=3.0),
            row(verdict="timed-out", wall_s=10.0), row(verdict="error"), row(expected="sat")]
    (only,) = summarise(rows)
    assert (only.name, only.instances, only.counts, only.median_s) == ("s", 7, (3, 1, 1, 1, 1), 2.0)
    assert only.par2_s == pytest.approx((1 + 2 + 6 + 4 * 20) / 7)


def test_a_contradiction_or_a_late_verdict_costs_twice_the_limit():
    assert par2(row(expected="sat")) == par2(row(wall_s=12.0)) == 20.0


def test_sets_in_order_of_appearance_and_all():
    rows = [row(set="z"), row(set="a", verdict="unknown"), row(set="z")]
    assert [(s.name, s.instances) for s in summarise(rows)] == [("z", 2), ("a", 1), ("all", 3)]
    lines = table(summarise(rows)).splitlines()
    assert len(lines) == 4 and len(set(map(len, lines))) == 1
    assert lines[2].split() == ["a", "1", "0", "1", "0", "0", "0", "-", "20.00"]


def test_aligned():
    assert aligned([("a", "1"), ("bcd", "10")]) == "a     1\nbcd  10"
