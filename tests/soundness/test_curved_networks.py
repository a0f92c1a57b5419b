"""Every engine, and every kind of split, on networks with curves, products and steps: never `unsat` where a point is
known to be unsafe, never `sat` for a point that is not.

Engines without an attack, so that no early counterexample hides a wrong bound; the laboratory
(`benchmarks.soundness.curved_networks`) runs all of them on thousands.
"""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from fractions import Fraction

import numpy as np
import onnxruntime
import pytest

from tests.soundness.curved_networks import CURVED, KINDS, CurvedProblem, curved_problem, strictly_unsafe
from tests.soundness.random_networks import MARGIN
from tests.soundness.splits import MODES, only
from verify.budget import Budget
from verify.errors import InvalidInput
from verify.onnx_import import from_bytes
from verify.pipeline import Problem, solve

ROUNDS, SECONDS = 2, 0.4
WAYS = (*(("bab", mode, "auto") for mode in MODES[:2]), ("ibp", None, "float32"), ("crown", None, "auto"),
        ("alpha-crown", None, "float32"), ("portfolio", None, "float32"))
"""Engines, the only kind of split, and the dtype of bounds."""


def complaint(p: CurvedProblem, engine: str, mode: str | None, dtype: str, seconds: float = SECONDS) -> tuple[str, str]:
    """(verdict, what is wrong with it)."""
    with only(mode) if mode else nullcontext():
        result = solve(Problem(from_bytes(p.onnx), p.spec), engine, Budget.seconds(seconds), "cpu", dtype)
    verdict = result.as_vnncomp
    if verdict == "unsat" and p.unsafe is not None:
        return verdict, f"proved, but unsafe at {p.unsafe}"
    if verdict == "sat" and not p.jumps:
        x = [Fraction(float(v)) for v in result.witness.x]
        if not any(strictly_unsafe(p.exact, d, x, -MARGIN) for d in p.spec.cases[0].disjuncts):
            return verdict, f"{x} is not unsafe"
    return verdict, ""


@pytest.mark.parametrize("position", range(len(KINDS)))
def test_right_or_unknown(position):
    """Problems of one kind, ways of deciding in turns."""
    for turn in range(ROUNDS):
        p = curved_problem(turn * len(KINDS) + position)
        ways = (WAYS[(turn + position) % 2], WAYS[2 + (turn * 2 + position) % 4])
        for way in ways:
            try:
                _, wrong = complaint(p, *way)
            except InvalidInput as error:  # onnxruntime lacks operators in double precision
                assert p.kind == "drawn" and "onnxruntime" in str(error)
                continue
            assert not wrong, (p.seed, p.kind, way)


def test_truths_of_both_kinds_and_the_anchor():
    """Properties of both kinds occur, and the precise value of a network is onnxruntime's."""
    truths = Counter()
    for seed in range(len(CURVED)):
        p = curved_problem(seed)
        truths[p.unsafe is None] += 1
        x = np.float32((p.spec.cases[0].box.lower + p.spec.cases[0].box.upper) / 2)
        session = onnxruntime.InferenceSession(p.onnx, providers=["CPUExecutionProvider"])
        y = session.run(None, {"x": x.reshape(session.get_inputs()[0].shape)})[0].reshape(-1)
        found = [float(v) for v in p.exact.evaluate([Fraction(float(v)) for v in x])]
        assert np.allclose(found, y, rtol=1e-4, atol=1e-4), p.kind
        if p.unsafe is not None:
            assert any(strictly_unsafe(p.exact, d, p.unsafe) for d in p.spec.cases[0].disjuncts)
    assert min(truths[True], truths[False]) >= 3


def test_safe_properties_are_proved():
    """Most of them, by either kind of split: the search is at work."""
    proved, tried = Counter(), 0
    for seed in range(16):
        p = curved_problem(seed)
        if p.unsafe is None:
            tried += 1
            for mode in MODES[:2]:
                proved[mode] += complaint(p, "bab", mode, "auto")[0] == "unsat"
    assert tried >= 5 and min(proved.values()) >= tried / 2
