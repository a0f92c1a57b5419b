"""Counterexamples that attacks do not find: networks trained to hide one (`training.py`). The verifier may find it or
not, but never says `unsat`: with an attack, without, and when no candidate is ever confirmed."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import torch

from benchmarks.soundness.experiment import Experiment
from benchmarks.soundness.injection import blind
from benchmarks.soundness.questions import ask, spec_text
from benchmarks.soundness.tally import Recorder, Tally
from benchmarks.soundness.training import Hidden, Settings, train
from verify.certificate.witness import Replayer
from verify.query import Case, InputBox, LinearConstraint, Spec

ENGINES = ("bab", "portfolio", "alpha-crown", "milp")
SECONDS = 3.0
SHAPES = (
    Settings(), Settings(inputs=12, hidden=(24,)), Settings(inputs=25, hidden=(32,), convolution=True),
    Settings(inputs=60, hidden=(64, 64), radius=0.3), Settings(inputs=40, hidden=(64,)),
    Settings(inputs=16, hidden=(24, 16, 16)),
)


def question(hidden: Hidden) -> Spec:
    """Is there a point of the box with y_0 <= y_1?"""
    row = LinearConstraint(((0, Fraction(1)), (1, Fraction(-1))), Fraction(0))
    limits = InputBox.from_floats(hidden.lower, hidden.upper)
    return Spec(hidden.lower.size, 2, (Case(limits, ((row,),)),), "hidden counterexample")


def run(cases: range, seed: int) -> Tally:
    """Case k is network k; one whose planted point is no counterexample is skipped."""
    record = Recorder()
    for k in cases:
        hidden = train(SHAPES[k % len(SHAPES)], seed + k)
        spec = question(hidden)
        if Replayer(hidden.onnx, spec).check(torch.from_numpy(hidden.planted)) is None:
            record.skipped("the planted point is no counterexample")
            continue
        record.tried()
        engine = ENGINES[k // len(SHAPES) % len(ENGINES)]
        answers = {"attack": ask(hidden.onnx, spec, "attack", 0.5, seed=seed + k),
                   engine: ask(hidden.onnx, spec, engine, SECONDS, seed=seed + k)}
        with blind():
            answers["blind bab"] = ask(hidden.onnx, spec, "bab", SECONDS, seed=seed + k)
        for engine, answer in answers.items():
            record.count(f"{engine}: {answer.verdict}")
            if answer.verdict == "unsat":
                record.wrong(k, f"{engine}: unsat on network {k}, which has a counterexample",
                             network__onnx=hidden.onnx, spec__vnnlib=spec_text(spec),
                             planted__txt=" ".join(np.format_float_positional(v) for v in hidden.planted))
    return record.result()


EXPERIMENT = Experiment("hidden counterexamples", "never `unsat` where training hid a counterexample", run,
                        lambda: 200, 1)
