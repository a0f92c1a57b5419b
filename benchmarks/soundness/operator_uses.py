"""Every operator alone, attributes and constants drawn anew, on boxes of many sizes: the laws of `operator_networks`
for one use at a time, so that none is hidden by what follows it."""

from __future__ import annotations

from benchmarks.soundness.experiment import Experiment
from benchmarks.soundness.operator_networks import examined
from benchmarks.soundness.tally import Recorder, Tally
from tests.soundness.operator_networks import single
from tests.soundness.operator_table import USES

EACH = 400
"""Models of every use in a full run, with five boxes and two dtypes each."""


def run(cases: range, seed: int) -> Tally:
    """Case k: uses in turns."""
    record, names = Recorder(), tuple(USES)
    for k in cases:
        name = names[k % len(names)]
        drawn = single(name, (seed, k))
        record.tried()
        for what in examined(drawn, k, ("intervals", "CROWN"), record):
            record.wrong(k, f"{name}: {what}", network__onnx=drawn.onnx)
    return record.result()


EXPERIMENT = Experiment("enclosure: operator uses", "no bound of an operator excludes a value", run,
                        lambda: EACH * len(USES), 2 * len(USES))
