"""A minute of the soundness laboratory (`make soundness` runs it for hours): every experiment on some of its cases."""

from __future__ import annotations

import pytest

from benchmarks.soundness.experiment import Experiment, load

SEED = 77_000
CASES = {"random networks": 64, "curved networks": 12, "enclosure: operators": 1200, "enclosure: operator uses": 30,
         "enclosure: operator networks": 10, "enclosure: curves": 10, "enclosure: relaxations": 1000,
         "enclosure: bounds": 780,
         "metamorphic relations": 54, "fault injection": 60, "corrupted proofs": 640, "float32 executions": 32,
         "known violated instances": 1, "proofs of neighbours": 1, "hidden counterexamples": 1, "float attacks": 10}


@pytest.mark.parametrize("experiment", load(), ids=lambda experiment: experiment.name)
def test_nothing_is_wrong(experiment: Experiment):
    if reason := experiment.missing():
        pytest.skip(reason)
    tally = experiment.run(range(CASES[experiment.name]), SEED)
    assert tally.tried > 0
    assert not tally.wrong, "\n".join(finding.what for finding in tally.wrong)
