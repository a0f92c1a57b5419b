"""Networks with curves, products and steps, put to every engine and to every kind of split: no `unsat` where a point is
known to be strictly unsafe, no `sat` at a point that is not.

Properties lie just above or just below the least value that a search found; unsafe points are confirmed by an
evaluation that is exact, or within 2^-300 (tests/soundness/curved_networks.py, precise.py). Violated properties are
searched blindly: no candidate is confirmed, so that no early counterexample hides a wrong bound.
"""

from __future__ import annotations

from contextlib import ExitStack
from fractions import Fraction

import torch

from benchmarks.soundness.experiment import Experiment
from benchmarks.soundness.injection import blind
from benchmarks.soundness.questions import Answer, ask, spec_text
from benchmarks.soundness.tally import Recorder, Tally
from tests.soundness.curved_networks import KINDS, CurvedProblem, curved_problem, strictly_unsafe
from tests.soundness.random_networks import MARGIN
from tests.soundness.splits import only
from verify.bounds.noise import undeclared
from verify.errors import VerifyError
from verify.onnx_import import from_bytes
from verify.onnx_import.compare import onnxruntime_outputs

WAYS = (("bab", "input"), ("alpha-crown", None), ("bab", "value"), ("crown", None), ("portfolio", None),
        ("bab", None), ("ibp", None), ("milp", None))
SECONDS = 0.5
ANCHORED = 5


def complaint(p: CurvedProblem, answer: Answer) -> str:
    """What is wrong with the answer, empty if nothing is. (At a jump a float32 witness may rightly be on the other
    side.)"""
    if answer.verdict == "unsat" and p.unsafe is not None:
        return f"unsat, but unsafe at {p.unsafe}"
    if answer.verdict == "sat" and not p.jumps:
        x = [Fraction(float(v)) for v in answer.result.witness.x]
        if not any(strictly_unsafe(p.exact, d, x, -MARGIN) for d in p.spec.cases[0].disjuncts):
            return f"sat with a witness that is safe: {x}"
    return ""


def differs(p: CurvedProblem, seed: int) -> str:
    """How the precise evaluation differs from onnxruntime at a random point; empty if it does not, or has no values."""
    network = from_bytes(p.onnx)
    box = p.spec.cases[0].box.interval(network.input_shape)
    x = box.sample(1, torch.Generator().manual_seed(seed)).float()
    try:
        y = onnxruntime_outputs(network, x).flatten()
    except VerifyError:
        return ""
    found = torch.tensor([float(v) for v in p.exact.evaluate([Fraction(float(v)) for v in x.flatten()])])
    gap = float((found.double() - y).abs().max())
    return "" if gap <= 1e-3 * (1 + float(y.abs().max())) or p.jumps else f"{gap:.3g} from onnxruntime"


def run(cases: range, seed: int) -> Tally:
    """Case k: the problem of seed `seed` + k, put to two of the ways in turns, and, where its accuracy in float32 is
    declared, asked for all executions, too."""
    record = Recorder()
    for k in cases:
        p = curved_problem(seed + k)
        record.tried()
        record.count("violated" if p.unsafe is not None else "probably safe")
        if k % ANCHORED == 0 and (wrong := differs(p, seed + k)):
            record.wrong(k, f"{p.kind}: the precise network is {wrong}", network__onnx=p.onnx)
        turn = k // len(KINDS)
        dtype = ("auto", "float32")[turn // len(WAYS) % 2]
        for way in (WAYS[turn % len(WAYS)], WAYS[(turn + 2 + k % 4) % len(WAYS)]):
            _ask(p, k, way, dtype, "real", record)
        network = from_bytes(p.onnx)
        if turn % 3 == 0 and not network.double and not undeclared(network.declared):
            # What is unsafe over the reals at a float32 input, by more than rounding, is so for executions.
            _ask(p, k, WAYS[turn // 3 % 4], dtype, "float32", record)
    return record.result()


def _ask(p: CurvedProblem, k: int, way: tuple[str, str | None], dtype: str, semantics: str, record: Recorder) -> None:
    engine, mode = way
    with ExitStack() as stack:
        if mode is not None:
            stack.enter_context(only(mode))
        if p.unsafe is not None:
            stack.enter_context(blind())
        answer = ask(p.onnx, p.spec, engine, SECONDS, dtype, p.seed, semantics)
    name = f"{engine}{f' ({mode} splits)' if mode else ''}{', float32 semantics' if semantics != 'real' else ''}"
    record.count(f"{name}: {answer.verdict}")
    if wrong := complaint(p, answer):
        record.wrong(k, f"{name} ({dtype}) on {p.kind}, seed {p.seed}: {wrong}", network__onnx=p.onnx,
                     spec__vnnlib=spec_text(p.spec))


EXPERIMENT = Experiment("curved networks", "no verdict contradicts a point that is known exactly", run,
                        lambda: 10_000, 2 * len(KINDS))
