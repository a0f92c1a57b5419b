"""The claim about float32 executions: where the verifier says `unsat` under float32 semantics, no execution of the
network in any order of summation is unsafe at a float32 input.

Random networks with properties moved as close to the true minimum as a bisection finds, so that rounding decides. The
executions: onnxruntime with and without its optimisations, and random orders of summation with and without FMA
(tests/soundness/executions.py), at the least points that exact enumeration and sampling find and at floats next to
them. And what is violated over the reals by more than rounding is violated under float32.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from benchmarks.soundness.experiment import Experiment
from benchmarks.soundness.proof_subjects import border
from benchmarks.soundness.questions import ask, spec_text
from benchmarks.soundness.tally import Recorder, Tally
from tests.soundness.exact import find_unsafe
from tests.soundness.executions import execute
from tests.soundness.random_networks import problem
from verify.certificate.witness import Network, project_inside
from verify.onnx_import import Network as Imported
from verify.onnx_import import from_bytes
from verify.query import Case, Spec

ENGINES = ("bab", "alpha-crown", "crown", "milp", "portfolio")
SECONDS = 2.0
POINTS, ORDERS = 8, 12
BISECTIONS = (12, 18, 24)
"""Distances from the border around 1e-4, 1e-6 and 1e-8 of the numbers: from far beyond rounding to far within it."""


def near(point: list[Fraction], case: Case, rng: np.random.Generator) -> np.ndarray | None:
    """A float32 input of the box at or next to a rational point; None where the box has none."""
    x = np.array([float(v) for v in point])
    x = x + rng.choice([0, 0, 1, -1], x.size) * np.spacing(x.astype(np.float32)).astype(np.float64)
    return project_inside(x, case.box, np.dtype(np.float32))


def unsafe_execution(network: Imported, spec: Spec, points: list[list[Fraction]], rng: np.random.Generator
                     ) -> np.ndarray | None:
    """A float32 input at which some execution is unsafe, None if none of those tried is."""
    runtimes = [Network(network.onnx, spec, optimised) for optimised in (False, True)]
    for point in points:
        for case in spec.cases:
            x = near(point, case, rng)
            if x is None:
                continue
            outputs = [runtime.run(x) for runtime in runtimes]
            outputs += [execute(network.declared, x, rng)[network.declared.output].reshape(-1) for _ in range(ORDERS)]
            if any(all(h.violated(x, y) for h in d) for y in outputs for d in case.disjuncts):
                return x
    return None


def run(cases: range, seed: int) -> Tally:
    """Case k: the network of seed `seed` + k, just safe or just violated in turns of 16."""
    record = Recorder()
    for k in cases:
        p = problem(seed + k)
        sides = border(p, BISECTIONS[k // 5 % len(BISECTIONS)]) if p.unsafe is None else None
        if sides is None:
            record.count("passed over: violated, or without a border")
            continue
        safe, violated = sides
        rng, network = np.random.default_rng((seed, k)), from_bytes(p.onnx)
        spec = violated if k // 16 % 4 == 3 else safe
        engine = ENGINES[k % len(ENGINES)]
        answer = ask(p.onnx, spec, engine, SECONDS, seed=seed + k, semantics="float32")
        record.tried()
        record.count(f"{'safe' if spec is safe else 'violated'}: {answer.verdict}")
        if answer.verdict != "unsat":
            continue
        if spec is violated:
            # A float32 claim over a real box: the bounds hold at all its real points.
            record.wrong(k, f"{engine}: unsat under float32, but a real point is unsafe", network__onnx=p.onnx,
                         spec__vnnlib=spec_text(spec))
            continue
        worst = find_unsafe(p.exact, violated)
        points = [worst] * (POINTS // 2) + [_corner(spec, rng) for _ in range(POINTS // 2)]
        record.count("executions", 2 * len(points) * (ORDERS + 2))
        x = unsafe_execution(network, spec, points, rng)
        if x is not None:
            record.wrong(k, f"{engine}: unsat under float32, but an execution at {x.tolist()} is unsafe",
                         network__onnx=p.onnx, spec__vnnlib=spec_text(spec))
    return record.result()


def _corner(spec: Spec, rng: np.random.Generator) -> list[Fraction]:
    box = spec.cases[int(rng.integers(len(spec.cases)))].box
    return [Fraction(v) for v in np.where(rng.random(box.lower.size) < 0.5, box.lower, box.upper)]


EXPERIMENT = Experiment("float32 executions", "no execution is unsafe where the float32 claim was given", run,
                        lambda: 6_000, 64)
