"""Curves in extended precision: values inside intervals, slopes inside theirs, functions on the right side of lines of
any slope, refined where the gap is smallest (tests/conformance/test_curves.py, `violations`)."""

from __future__ import annotations

import numpy as np

from benchmarks.soundness.experiment import Experiment
from benchmarks.soundness.tally import Recorder, Tally
from tests.conformance.curves import CURVES, WIDE
from tests.conformance.test_curves import DTYPES, EACH, violations

KINDS_OF_INTERVALS = 7
ROUNDS = 10
"""Seeds of a full run: 21,000 intervals, with two lines on either side, for each curve and dtype."""


def run(cases: range, seed: int) -> Tally:
    """Case k: curve and dtype in turns, then the next seed."""
    record, subjects = Recorder(), [(name, dtype) for name in CURVES for dtype in DTYPES]
    for k in cases:
        name, dtype = subjects[k % len(subjects)]
        found = violations(name, DTYPES[dtype], EACH, seed + k // len(subjects))
        record.tried()
        record.count("intervals", KINDS_OF_INTERVALS * EACH)
        for what in found:
            record.wrong(k, f"{name} in {dtype}: {what}")
    return record.result()


def missing() -> str:
    """Values rounded to float64 could not be told from lines that touch the function."""
    return "" if np.finfo(WIDE).eps < 1e-18 else "numpy has no extended precision here"


EXPERIMENT = Experiment("enclosure: curves", "curves lie inside their intervals and between their lines", run,
                        lambda: ROUNDS * len(CURVES) * len(DTYPES), len(DTYPES) * 20, missing=missing)
