"""Every engine on hundreds of random networks whose truth is known exactly: right or unknown, never wrong.

The whole pipeline is under test: the ONNX import, bounds, search, solvers and the replay of witnesses. `bab` and
`milp` run without an attack, so the attack cannot hide an unsound bound behind an early counterexample.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from functools import lru_cache
from importlib.util import find_spec

import numpy as np
import onnxruntime
import pytest

from tests.soundness.random_networks import KINDS, MARGIN, Problem, moved, problem
from verify.budget import Budget
from verify.engines import names
from verify.onnx_import import from_bytes
from verify.pipeline import Problem as Question
from verify.pipeline import solve
from verify.query import Spec
from verify.result import Verdict

CHUNK, CHUNKS = 64, 8
COMPLETE = ("bab", "milp")
# Engines that attack use a share of their time on every safe network, so they get little; the others need milliseconds.
SECONDS = {"attack": 0.1, "portfolio": 1.0}
ENGINES = tuple(name for name in names() if name != "auto-lirpa" or find_spec("auto_LiRPA"))


@lru_cache(maxsize=CHUNKS)
def problems(chunk: int) -> tuple[Problem, ...]:
    return tuple(problem(seed) for seed in range(chunk * CHUNK, (chunk + 1) * CHUNK))


def exactly_unsafe(spec: Spec, x: list[Fraction], y: list[Fraction]) -> bool:
    """Membership in the unsafe set of a rational point and its exact output."""

    def value(h) -> Fraction:
        return h.constant + sum(c * x[k] for k, c in h.x) + sum(c * y[k] for k, c in h.y)

    def inside(box) -> bool:
        limits = zip(x, box.lower, box.upper, strict=True)
        return all(Fraction(low) <= v <= Fraction(high) for v, low, high in limits)

    return any(inside(c.box) and any(all(value(h) <= 0 for h in d) for d in c.disjuncts) for c in spec.cases)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_the_truth_is_anchored_in_onnxruntime(chunk):
    """The exact network agrees with onnxruntime on points, and unsafe points are unsafe in exact arithmetic."""
    rng = np.random.default_rng(chunk)
    truths = Counter()
    for p in problems(chunk):
        session = onnxruntime.InferenceSession(p.onnx, providers=["CPUExecutionProvider"])
        shape = session.get_inputs()[0].shape
        box = p.spec.cases[0].box
        x = (box.lower + rng.random(box.lower.size) * (box.upper - box.lower)).astype(np.float32)
        y = session.run(None, {"x": x.reshape(shape)})[0].reshape(-1)
        exact = [float(v) for v in p.exact.evaluate([Fraction(float(v)) for v in x])]
        assert np.allclose(exact, y, rtol=1e-4, atol=1e-4), (p.seed, p.kind)
        if p.unsafe is not None:
            assert exactly_unsafe(p.spec, p.unsafe, p.exact.evaluate(p.unsafe)), (p.seed, p.kind)
        truths[p.unsafe is None] += 1
    assert min(truths[True], truths[False]) >= CHUNK // 4
    assert {p.kind for p in problems(chunk)} == set(KINDS)


@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("engine", ENGINES)
def test_right_or_unknown(engine, chunk):
    verdicts = Counter()
    for p in problems(chunk):
        question = Question(from_bytes(p.onnx), p.spec)
        result = solve(question, engine, Budget.seconds(SECONDS.get(engine, 60.0)), device="cpu")
        verdicts[result.verdict] += 1
        if result.verdict is Verdict.VERIFIED:
            assert p.unsafe is None, f"{engine} verified seed {p.seed} ({p.kind}), unsafe at {p.unsafe}"
        if result.verdict is Verdict.FALSIFIED:
            # Real arithmetic on the float witness; within the margin that the generator keeps from every border.
            x = [Fraction(float(v)) for v in result.witness.x]
            assert p.unsafe is not None, f"{engine} falsified seed {p.seed} ({p.kind}), which is safe; at {x}"
            assert exactly_unsafe(moved(p.spec, -MARGIN), x, p.exact.evaluate(x)), (engine, p.seed, p.kind)
    if engine in COMPLETE:
        assert verdicts[Verdict.UNKNOWN] <= CHUNK // 20, verdicts
    else:
        assert verdicts[Verdict.FALSIFIED if engine == "attack" else Verdict.VERIFIED] > 0
