"""Corrupted and forged proofs: the checker accepts nothing whose digest does not fit, and no evidence, however it was
changed, for a property that is violated.

Proofs of random networks (real and float32 semantics in turns) for properties that are just safe, each with two
violated neighbours: the same network with the property moved just beyond the true minimum (by bisection with exact
enumeration), and the same property with a network whose weights were changed. A proof with a right digest may be
accepted for its own, true claim: that is another proof of it, and is counted.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from benchmarks.soundness.experiment import Experiment
from benchmarks.soundness.mutations import Parts, damaged, reissued, wrong_body, wrong_header
from benchmarks.soundness.questions import ERRORS, spec_text
from benchmarks.soundness.tally import Recorder, Tally
from tests.soundness.exact import ExactNetwork, find_unsafe
from tests.soundness.random_networks import Problem, moved, problem
from verify.budget import Budget
from verify.certificate.checker.check import check
from verify.certificate.checker.errors import Rejected
from verify.certificate.checker.stream import open_container
from verify.certificate.proof import write_proof
from verify.certificate.recorder import Recorder as ProofRecorder
from verify.errors import VerifyError
from verify.onnx_import import from_bytes
from verify.pipeline import Problem as Question
from verify.pipeline import solve
from verify.query import Spec
from verify.result import Verdict
from verify.vnnlib import parse_spec

PER_PROOF = 40
"""Mutations of one proof: making it takes as long as checking about that many."""
SECONDS = 3.0
BISECTIONS = 7
"""The nearer to the border, the larger the trees."""
FREE_FIELDS = ("tool", "semantics", "leaves")
"""What may differ in a header that is accepted: who wrote it is no claim, and the others are checked."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A proof of a true claim, and (network, property) pairs that are violated."""

    number: int
    network: bytes
    spec: bytes
    proof: bytes
    parts: Parts
    neighbours: tuple[tuple[bytes, bytes], ...]


def prove(network: bytes, spec: bytes, semantics: str = "real", seconds: float = SECONDS) -> bytes | None:
    """The proof that branch and bound finds, None if it finds none."""
    asked = parse_spec(spec.decode())
    recorder = ProofRecorder()
    try:
        result = solve(Question(from_bytes(network), asked, semantics), "bab", Budget.seconds(seconds), "cpu",
                       recorder=recorder)
        recording = recorder.recording(len(asked.cases)) if result.verdict is Verdict.VERIFIED else None
        if recording is None:
            return None
        with tempfile.TemporaryDirectory(prefix="verify-proof-") as folder:
            path = Path(folder, "proof")
            write_proof(path, network, spec, asked, recording, semantics, Budget.seconds(seconds))
            return path.read_bytes()
    except VerifyError:
        return None


def accepted(network: bytes, spec: bytes, proof: bytes, record: Recorder) -> bool:
    """Whether the checker accepts; an error of any other kind than `Rejected` is no acceptance, and is counted."""
    try:
        container = open_container(proof)
        header = container.header
        hashes = hashlib.sha256(network).hexdigest(), hashlib.sha256(spec).hexdigest()
        if (header.network_sha256, header.spec_sha256) != hashes:
            return False
        report = check(network, spec, container)
    except Rejected:
        return False
    except ERRORS as error:
        record.count(f"internal error {type(error).__name__}")
        return False
    return report.checked == report.leaves and (not report.leaves or report.smallest_margin > 0)


def border(p: Problem, bisections: int = BISECTIONS) -> tuple[Spec, Spec] | None:
    """The property of a safe problem with its constants lowered until it is just safe, and until it is just violated;
    None if that takes too much."""
    def spec(by: Fraction) -> Spec:
        return moved(p.spec, -by)

    low, high = Fraction(0), Fraction(1, 64)
    while find_unsafe(p.exact, spec(high)) is None:
        low, high = high, 4 * high
        if high > 100:
            return None
    for _ in range(bisections):
        middle = (low + high) / 2
        low, high = (middle, high) if find_unsafe(p.exact, spec(middle)) is None else (low, middle)
    return spec(low), spec(high)


def violated_network(p: Problem, spec: Spec, rng: np.random.Generator) -> bytes | None:
    """The network with weights changed more and more until the property is violated; None if it never is."""
    for size in (0.01, 0.03, 0.1, 0.3, 1.0, 3.0):
        model = onnx.load_from_string(p.onnx)
        for tensor in model.graph.initializer:
            if tensor.data_type == onnx.TensorProto.FLOAT and tensor.dims:
                values = numpy_helper.to_array(tensor)
                noise = (size * rng.standard_normal(values.shape)).astype(np.float32)
                tensor.CopyFrom(numpy_helper.from_array(np.where(values > 0, abs(values + noise), values + noise),
                                                        tensor.name))
        changed = model.SerializeToString()
        if find_unsafe(ExactNetwork.of(from_bytes(changed).graph), spec) is not None:
            return changed
    return None


@lru_cache(maxsize=2)
def subject(number: int, seed: int) -> Subject | None:
    """The proof of a number with its neighbours; None where the network is violated or the proof is not found."""
    p = problem(seed + number)
    sides = border(p) if p.unsafe is None else None
    if sides is None:
        return None
    safe, violated = (spec_text(side).encode() for side in sides)
    proof = prove(p.onnx, safe, ("real", "float32")[number // 16 % 2])
    if proof is None:
        return None
    other = violated_network(p, sides[0], np.random.default_rng((seed, number)))
    neighbours = ((p.onnx, violated), *(((other, safe),) if other else ()))
    return Subject(number, p.onnx, safe, proof, Parts.of(proof), neighbours)


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
    record.count("offered for a violated neighbour")
    parts, name = reissued(s.proof, network, spec), "unchanged"
    proof = parts.assemble()
    if kind % 4:
        name, proof = wrong_body(parts, rng)
    return f"accepted for a violated neighbour ({name})" if accepted(network, spec, proof, record) else ""


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
            if not accepted(s.network, s.spec, s.proof, record):
                record.count("proofs that the checker rejects")
        record.tried()
        kind = k % 8
        wrong = own_claim(s, kind, rng, record) if kind < 3 else false_claim(s, kind, rng, record)
        if wrong:
            record.wrong(k, f"proof {s.number}: {wrong}", network__onnx=s.network, spec__vnnlib=s.spec, proof=s.proof)
    return record.result()


EXPERIMENT = Experiment("corrupted proofs", "no damaged proof is accepted, and none for a violated property", run,
                        lambda: 40_000, 10 * PER_PROOF)
