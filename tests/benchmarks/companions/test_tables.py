"""Means, intervals and pairs of a small study by hand."""

from __future__ import annotations

from benchmarks.companions.tables import as_csv, bits, paired, percent, summary

ROWS = [
    {"method": "a", "seed": 0, "clean": 0.8, "crown": 0.2, "flags": {"crown": "1100"}},
    {"method": "a", "seed": 1, "clean": 0.6, "crown": 0.4, "flags": {"crown": "1110"}},
    {"method": "b", "seed": 1, "clean": 0.5, "crown": 0.1, "flags": {"crown": "0001"}},
    {"method": "b", "seed": 0, "clean": 0.5, "crown": 0.3, "flags": {"crown": "0100"}},
]


def test_mean_and_interval_over_seeds():
    # Two values, 20 points apart: the t quantile with one degree of freedom is 12.706, the standard error 10 points.
    assert percent([0.8, 0.6]) == "70.0 ± 127.1"
    assert percent([0.5]) == "50.0" and percent([]) == "-" and percent([None]) == "-"
    table = summary(ROWS, ("method",), ("clean", "crown", "verified"))
    assert table.splitlines()[0] == "| method | seeds | clean | crown | verified |"
    assert table.splitlines()[2] == "| a | 2 | 70.0 ± 127.1 | 30.0 ± 127.1 | - |"


def test_pairs_are_matched_by_seed():
    a, b = ROWS[:2], ROWS[2:]
    # Seed 0: 1100 against 0100, one win. Seed 1: 1110 against 0001, three wins and a loss. p = 2 (1 + 5) / 2^5.
    assert paired(a, b, "crown") == (4, 1, 0.375)


def test_flags_and_csv():
    assert bits([True, False, True]) == "101"
    assert as_csv(ROWS).splitlines()[:2] == ["method,seed,clean,crown", "a,0,0.8,0.2"]
