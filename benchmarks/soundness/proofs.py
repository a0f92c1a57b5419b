"""Corrupted and forged proofs: the checker accepts nothing whose digest does not fit, and no evidence, however it was
changed, for a property that is violated.

The proofs are those of `proof_subjects.py`, of real and float32 semantics. A proof with a right digest may be accepted
for its own, true claim: that is another proof of it, and is counted.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np

from benchmarks.soundness.experiment import Experiment
from benchmarks.soundness.mutations import Parts, damaged, reissued, wrong_body, wrong_header
from benchmarks.soundness.proof_subjects import Subject, subject
from benchmarks.soundness.questions import ERRORS
from benchmarks.soundness.tally import Recorder, Tally
from verify.certificate.checker.check import check
from verify.certificate.checker.errors import Rejected
from verify.certificate.checker.stream import open_container

PER_PROOF = 40
"""Mutations of one proof: making it takes as long as checking about that many."""
EXACT_BYTES = 500
"""Up to this size of the body a proof is checked in exact arithmetic as well, which is slow."""
FREE_FIELDS = ("tool", "semantics", "leaves")
"""What may differ in a header that is accepted: who wrote it is no claim, and the others are checked."""


def accepted(network: bytes, spec: bytes, proof: bytes, record: Recorder, arithmetic: str = "float64") -> bool:
    """Whether the checker accepts; an error of any other kind than `Rejected` is no acceptance, and is counted."""
    try:
        container = open_container(proof)
        header = container.header
        hashes = hashlib.sha256(network).hexdigest(), hashlib.sha256(spec).hexdigest()
        if (header.network_sha256, header.spec_sha256) != hashes:
            return False
        report = check(network, spec, container, arithmetic)
    except Rejected:
        return False
    except ERRORS as error:
        record.count(f"internal error {type(error).__name__}")
        return False
    return report.checked == report.leaves and (not report.leaves or report.smallest_margin > 0)


def both_arithmetics(s: Subject, record: Recorder) -> str:
    """The proof as it is: exact arithmetic accepts what float64 with its error bounds accepts."""
    if not accepted(s.network, s.spec, s.proof, record):
        record.count("proofs that the checker rejects")
    elif len(s.parts.body) < EXACT_BYTES:
        record.count("proofs checked in exact arithmetic, too")
        if not accepted(s.network, s.spec, s.proof, record, "dyadic"):
            return "accepted in float64, rejected in exact arithmetic"
    return ""


def own_claim(s: Subject, kind: int, rng: np.random.Generator, record: Recorder) -> str:
    """A changed proof of the true claim: what is wrong, empty if nothing is."""
    if kind == 0:
        name, proof = damaged(s.proof, rng)
        if accepted(s.network, s.spec, proof, record):
            return f"accepted with a digest that does not fit ({name})"
        return ""
    name, proof = (wrong_header if kind == 1 else wrong_body)(s.parts, rng)
    if not accepted(s.network, s.spec, proof, record):
        return ""
    record.count("accepted with a right digest: another proof of the same, true claim")
    before, after = (json.loads(Parts.of(data).header) for data in (s.proof, proof))
    if any(before.get(key) != after.get(key) for key in {*before, *after} - set(FREE_FIELDS)):
        return f"accepted with another header ({name})"
    return ""


def false_claim(s: Subject, kind: int, rng: np.random.Generator, record: Recorder) -> str:
    """The evidence offered for a violated neighbour."""
    network, spec = s.neighbours[rng.integers(len(s.neighbours))]
    parts, name = reissued(s.proof, network, spec), "unchanged"
    proof = parts.assemble()
    if kind % 4:
        name, proof = wrong_body(parts, rng)
    arithmetic = "dyadic" if len(parts.body) < EXACT_BYTES and rng.random() < 0.1 else "float64"
    record.count(f"offered for a violated neighbour, {arithmetic}")
    if accepted(network, spec, proof, record, arithmetic):
        return f"accepted for a violated neighbour in {arithmetic} ({name})"
    return ""


def files(s: Subject) -> dict[str, bytes]:
    return {"network__onnx": s.network, "spec__vnnlib": s.spec, "proof": s.proof}


def run(cases: range, seed: int) -> Tally:
    """Case k: mutation k % 40 of proof k // 40. Numbers without a proof are passed over, not counted as tried."""
    record = Recorder()
    for k in cases:
        s = subject(k // PER_PROOF, seed)
        if s is None:
            record.count("cases without a proof")
            continue
        rng = np.random.default_rng((seed, k))
        if k % PER_PROOF == 0:
            record.count("proofs")
            if wrong := both_arithmetics(s, record):
                record.wrong(k, f"proof {s.number}: {wrong}", **files(s))
        record.tried()
        kind = k % 8
        wrong = own_claim(s, kind, rng, record) if kind < 3 else false_claim(s, kind, rng, record)
        if wrong:
            record.wrong(k, f"proof {s.number}: {wrong}", **files(s))
    return record.result()


EXPERIMENT = Experiment("corrupted proofs", "no damaged proof is accepted, and none for a violated property", run,
                        lambda: 40_000, 10 * PER_PROOF)
