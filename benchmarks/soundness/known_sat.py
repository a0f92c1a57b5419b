"""Public instances that are known to be violated, with the attack switched off: none may be called `unsat`.

The lists of `../shared/bench` next to the repository, every instance expected `sat`, in a fresh process each, by branch
and bound alone and a few seconds. Two families whose operators are refused by name are left out.

The labels are the consensus of a competition's tools, not truth. An `unsat` is counted apart, as a disputed label, only
if a second opinion that shares no code with `verify` (`second_opinion`) finds the property to hold by far, too.
"""

from __future__ import annotations

import gzip
from functools import lru_cache
from pathlib import Path

from benchmarks.execute import Setting, run_instance
from benchmarks.instances import Instance, read_instances
from benchmarks.machine import Machine
from benchmarks.process import ROOT
from benchmarks.soundness.experiment import Experiment
from benchmarks.soundness.second_opinion import least_violation
from benchmarks.soundness.tally import Recorder, Tally
from verify.errors import InvalidInput

BENCH = ROOT.parent / "shared" / "bench"
LIST = BENCH / "instances.csv"
REFUSED = ("ml4acopf", "lsnc")
SECONDS = 5.0
BY_FAR = 0.01


@lru_cache(maxsize=1)
def instances() -> tuple[Instance, ...]:
    """Those expected `sat`. Raises InvalidInput where the lists are not."""
    return tuple(entry for entry in read_instances(LIST, BENCH)
                 if entry.expected == "sat" and entry.set not in REFUSED)


def missing() -> str:
    if not LIST.is_file():
        return "the instances of ../shared/bench are not there"
    try:
        return "" if instances() else "the list names no instance that is expected sat"
    except InvalidInput as error:
        return str(error)


def full() -> int:
    return 0 if missing() else len(instances())


def holds_by_far(instance: Instance) -> bool:
    """What the second opinion says."""
    network, spec = (_content(BENCH / name) for name in (instance.onnx, instance.vnnlib))
    least = least_violation(network, spec.decode())
    return least is not None and least > BY_FAR


def _content(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def run(cases: range, seed: int) -> Tally:
    """Case k is the k-th violated instance of the list, whatever the seed."""
    record, setting = Recorder(), Setting("", Machine.this(), ("--method", "bab", "--seed", str(seed)))
    for k in cases:
        instance = instances()[k]
        row = run_instance(instance, SECONDS, BENCH, setting)
        record.tried()
        record.count(f"{instance.set}: {row.verdict}")
        if row.verdict == "unsat" and holds_by_far(instance):
            record.count("labels disputed")
            record.note(f"the label sat of {instance.onnx} with {instance.vnnlib} is disputed by a second opinion")
        elif row.verdict == "unsat":
            record.wrong(k, f"unsat on {instance.onnx} with {instance.vnnlib}, which is known to be violated")
        if row.verdict == "error":
            record.note(f"error on {instance.onnx} with {instance.vnnlib}: {row.reason}")
    return record.result()


EXPERIMENT = Experiment("known violated instances", "never `unsat`, with the attack switched off", run, full, 3,
                        endless=False, missing=missing)
