"""Random small networks of every kind against their exact truth: `unsat` only where nothing is unsafe, `sat` only where
something is.

Ground truth is the enumeration of all linear pieces in rational arithmetic (tests/soundness/exact.py), anchored in
onnxruntime at a random point. Every network is put to one engine that searches and to one that only bounds, with and
without an attack, in float64 and float32, in turns. What is violated is searched once more blindly: no candidate is
confirmed, so that no early counterexample hides a wrong bound.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import torch

from benchmarks.soundness.experiment import Experiment
from benchmarks.soundness.injection import blind
from benchmarks.soundness.questions import Answer, ask, spec_text
from benchmarks.soundness.tally import Recorder, Tally
from tests.soundness.random_networks import MARGIN, Problem, moved, problem
from verify.onnx_import import from_bytes
from verify.onnx_import.compare import onnxruntime_outputs
from verify.query import Spec

SEARCHES = ("bab", "portfolio", "milp")
BOUNDS = ("alpha-crown", "crown", "ibp")
SECONDS, BLIND_SECONDS = 2.0, 0.3
ANCHORED = 5
"""Every fifth truth is compared with onnxruntime: the five take turns over the 16 kinds."""


def exactly_unsafe(spec: Spec, x: list[Fraction], y: list[Fraction]) -> bool:
    """Membership in the unsafe set of a rational point and its exact output."""

    def value(h) -> Fraction:
        return h.constant + sum(c * x[k] for k, c in h.x) + sum(c * y[k] for k, c in h.y)

    def inside(box) -> bool:
        limits = zip(x, box.lower, box.upper, strict=True)
        return all(Fraction(low) <= v <= Fraction(high) for v, low, high in limits)

    return any(inside(c.box) and any(all(value(h) <= 0 for h in d) for d in c.disjuncts) for c in spec.cases)


def complaint(p: Problem, answer: Answer) -> str:
    """What is wrong with the answer, empty if nothing is. A witness must be unsafe in exact arithmetic, too, within
    the margin that the generator keeps from every border."""
    if answer.contradicts(p.unsafe is not None):
        return f"{answer.verdict}, but the property is {'safe' if p.unsafe is None else f'violated at {p.unsafe}'}"
    if answer.verdict == "sat":
        x = [Fraction(float(v)) for v in answer.result.witness.x]
        if not exactly_unsafe(moved(p.spec, -MARGIN), x, p.exact.evaluate(x)):
            return f"sat with a witness that is safe in exact arithmetic: {x}"
    return ""


def truth_holds(p: Problem, seed: int) -> bool:
    """The exact network and onnxruntime agree at a random point of the box, and the unsafe point is unsafe."""
    network = from_bytes(p.onnx)
    box = p.spec.cases[0].box.interval(network.input_shape)
    x = box.sample(1, torch.Generator().manual_seed(seed)).float()
    y = onnxruntime_outputs(network, x).flatten().numpy()
    exact = [float(v) for v in p.exact.evaluate([Fraction(float(v)) for v in x.flatten()])]
    return bool(np.allclose(exact, y, rtol=1e-4, atol=1e-4)) and (
        p.unsafe is None or exactly_unsafe(p.spec, p.unsafe, p.exact.evaluate(p.unsafe)))


def run(cases: range, seed: int) -> Tally:
    """Case k is the network of seed `seed` + k, put to two engines."""
    record = Recorder()
    for k in cases:
        p = problem(seed + k)
        record.tried()
        record.count("violated" if p.unsafe is not None else "safe")
        if k % ANCHORED == 0 and not truth_holds(p, seed + k):
            record.wrong(k, f"{p.kind}: the exact network differs from onnxruntime", network__onnx=p.onnx,
                         spec__vnnlib=spec_text(p.spec))
        turn = k // 16  # the kinds take turns in steps of 16
        dtype = ("auto", "float32")[turn // 3 % 2]
        answers = {engine: ask(p.onnx, p.spec, engine, SECONDS, dtype, seed + k)
                   for engine in (SEARCHES[turn % 3], BOUNDS[turn % 3])}
        if p.unsafe is not None:
            engine = ("bab", "milp")[turn % 2]
            with blind():
                answers[f"blind {engine}"] = ask(p.onnx, p.spec, engine, BLIND_SECONDS, dtype, seed + k)
        for engine, answer in answers.items():
            record.count(f"{engine}: {answer.verdict}")
            if wrong := complaint(p, answer):
                record.wrong(k, f"{engine} ({dtype}) on {p.kind}, seed {p.seed}: {wrong}", network__onnx=p.onnx,
                             spec__vnnlib=spec_text(p.spec))
    return record.result()


EXPERIMENT = Experiment("random networks", "no verdict contradicts the exact truth", run, lambda: 10_000, 48)
