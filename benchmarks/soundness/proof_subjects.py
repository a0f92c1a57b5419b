"""Proofs to be tampered with: of true claims, each with violated neighbours.

Small ones: random networks whose truth exact enumeration knows, for properties that are just safe; their neighbours are
the same network with the property moved just beyond the true minimum (by bisection), and the same property with a
network whose weights were changed. Larger ones, with trees of dozens of leaves, sigmoid and tanh: their neighbours are
violated at the point of the least value that was found.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from benchmarks.soundness.mutations import Parts
from benchmarks.soundness.questions import spec_text
from tests.soundness.exact import ExactNetwork, find_unsafe
from tests.soundness.nets import dense
from tests.soundness.random_networks import Problem, moved, problem
from tests.verify.bounds.networks import low_points
from verify.budget import Budget
from verify.certificate.proof import write_proof
from verify.certificate.recorder import Recorder as ProofRecorder
from verify.errors import VerifyError
from verify.onnx_import import from_bytes
from verify.pipeline import Problem as Question
from verify.pipeline import solve
from verify.query import Case, InputBox, LinearConstraint, Spec
from verify.result import Verdict
from verify.vnnlib import parse_spec

SECONDS = 3.0
BISECTIONS = 7
"""The nearer to the border, the larger the trees."""
LARGE = 4
"""Every fourth subject is a larger network."""
ACTIVATIONS = ("Relu", "Relu", "Sigmoid", "Relu", "Tanh")


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


def _small(number: int, seed: int) -> Subject | None:
    """A random small network whose truth is known exactly, just safe; None where it is violated or not proved."""
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


def _large(number: int, seed: int) -> Subject | None:
    """A network of two hidden layers and one row, safe by a gap that is widened until a proof is found."""
    rng = np.random.default_rng((seed, number))
    sizes = [int(rng.integers(3, 7)), int(rng.integers(10, 25)), int(rng.integers(8, 17)), 1]
    layers = [(rng.standard_normal((o, i)) / i**0.5, 0.3 * rng.standard_normal(o))
              for i, o in pairwise(sizes)]
    network = dense(layers, ACTIVATIONS[number // LARGE % len(ACTIVATIONS)])
    center = rng.standard_normal(sizes[0])
    box = InputBox.from_floats(*((center + side * float(rng.choice([0.3, 0.6, 1.0]))).astype(np.float32)
                                 for side in (-1, 1)))
    graph = from_bytes(network).graph
    least = float(low_points(graph, box.interval(graph.input.shape), torch.eye(1, dtype=torch.float64), 200, 30))

    def spec(below: float) -> bytes:
        """Unsafe where y <= least - below; the float64 value `least` is off by far less than 1e-6."""
        row = LinearConstraint(((0, Fraction(1)),), Fraction(round((below - least) * 10**9), 10**9))
        return spec_text(Spec(sizes[0], 1, (Case(box, ((row,),)),))).encode()

    semantics = ("real", "float32")[number // LARGE % 2]
    for gap in (0.01, 0.03, 0.1, 0.3, 1.0):
        proof = prove(network, spec(gap), semantics)
        if proof is not None:
            return Subject(number, network, spec(gap), proof, Parts.of(proof), ((network, spec(-1e-6)),))
    return None


@lru_cache(maxsize=2)
def subject(number: int, seed: int) -> Subject | None:
    """The proof of a number with its neighbours; None where there is none."""
    return _large(number, seed) if number % LARGE == LARGE - 1 else _small(number, seed)
