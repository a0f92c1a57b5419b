"""Proofs of public instances offered for violated neighbours: every instance of `../shared/bench` that is known to be
violated gets the proof of an instance next to it that holds (the same network with another property, or the same
property with another network), with the hashes of the header rewritten, unchanged and changed; none may be accepted."""

from __future__ import annotations

import gzip
from functools import lru_cache

import numpy as np

from benchmarks.instances import Instance, read_instances
from benchmarks.soundness import known_sat
from benchmarks.soundness.experiment import Experiment
from benchmarks.soundness.mutations import reissued, wrong_body
from benchmarks.soundness.proof_subjects import prove
from benchmarks.soundness.proofs import accepted
from benchmarks.soundness.tally import Recorder, Tally

SECONDS = 8.0
ATTEMPTS = 3
MUTATIONS = 20


@lru_cache(maxsize=1)
def holding() -> tuple[Instance, ...]:
    """The instances expected `unsat`."""
    return tuple(entry for entry in read_instances(known_sat.LIST, known_sat.BENCH) if entry.expected == "unsat")


def candidates(instance: Instance) -> list[Instance]:
    """Instances of the same family that hold: those with its network first, then those with its property, then others,
    the nearest in the list first."""
    family = [entry for entry in holding() if entry.set == instance.set]
    return sorted(family, key=lambda entry: (entry.onnx != instance.onnx, entry.vnnlib != instance.vnnlib))[:ATTEMPTS]


@lru_cache(maxsize=64)
def content(name: str) -> bytes:
    data = (known_sat.BENCH / name).read_bytes()
    return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data


@lru_cache(maxsize=64)
def proof_of(onnx: str, vnnlib: str) -> bytes | None:
    return prove(content(onnx), content(vnnlib), seconds=SECONDS)


def run(cases: range, seed: int) -> Tally:
    """Case k: the k-th violated instance with one foreign proof, `MUTATIONS` times; tried counts proofs offered."""
    record = Recorder()
    for k in cases:
        instance = known_sat.instances()[k]
        found = ((entry, proof_of(entry.onnx, entry.vnnlib)) for entry in candidates(instance))
        entry, proof = next(((e, p) for e, p in found if p is not None), (None, None))
        if proof is None:
            record.skipped(f"no proof of a neighbour in {instance.set}")
            continue
        record.count(f"violated instances of {instance.set}")
        network, spec, rng = content(instance.onnx), content(instance.vnnlib), np.random.default_rng((seed, k))
        parts = reissued(proof, network, spec)
        for number in range(MUTATIONS):
            name, offered = wrong_body(parts, rng) if number else ("unchanged", parts.assemble())
            record.tried()
            if accepted(network, spec, offered, record):
                record.wrong(k, f"the proof of {entry.vnnlib} on {entry.onnx} ({name}) is accepted for "
                                f"{instance.vnnlib} on {instance.onnx}", proof=offered)
    return record.result()


EXPERIMENT = Experiment("proofs of neighbours", "no proof is accepted for a public instance that is violated", run,
                        known_sat.full, 2, endless=False, missing=known_sat.missing)
