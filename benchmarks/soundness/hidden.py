"""Counterexamples that attacks do not find: networks trained to hide one in every box (`training.py`). The verifier may
find it or not, but never says `unsat`, with an attack or without."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import torch

from benchmarks.soundness.experiment import Experiment
from benchmarks.soundness.questions import ask, spec_text
from benchmarks.soundness.tally import Recorder, Tally
from benchmarks.soundness.training import Hidden, Settings, train
from verify.certificate.witness import Replayer
from verify.query import Case, InputBox, LinearConstraint, Spec

ENGINES = ("bab", "portfolio", "alpha-crown", "milp")
SECONDS = 4.0
SHAPES = (
    Settings(inputs=60, hidden=(100, 100), boxes=3, steps=1000), Settings(inputs=16, boxes=6, steps=2000),
    Settings(inputs=64, hidden=(32,), boxes=2, steps=1000, convolution=True), Settings(inputs=40, hidden=(64,)),
    Settings(inputs=30, hidden=(80, 80), boxes=2),
)


def question(hidden: Hidden, box: int) -> Spec:
    """Is there a point of the box with y_0 <= y_1?"""
    row = LinearConstraint(((0, Fraction(1)), (1, Fraction(-1))), Fraction(0))
    limits = InputBox.from_floats(hidden.lower[box], hidden.upper[box])
    return Spec(hidden.lower.shape[1], 2, (Case(limits, ((row,),)),), "hidden counterexample")


def run(cases: range, seed: int, steps: int | None = None) -> Tally:
    """Case k is network k with all its boxes; a box whose planted point is no counterexample is skipped. `steps`
    replaces the length of the training."""
    record = Recorder()
    for k in cases:
        settings = SHAPES[k % len(SHAPES)]
        hidden = train(replace(settings, steps=steps) if steps else settings, seed + k)
        for box in range(settings.boxes):
            spec = question(hidden, box)
            if Replayer(hidden.onnx, spec).check(torch.from_numpy(hidden.planted[box])) is None:
                record.skipped("the planted point is no counterexample")
                continue
            record.tried()
            for engine in ("attack", ENGINES[(k // len(SHAPES) + box) % len(ENGINES)]):
                answer = ask(hidden.onnx, spec, engine, 0.5 if engine == "attack" else SECONDS, seed=seed + k)
                record.count(f"{engine}: {answer.verdict}")
                if answer.verdict == "unsat":
                    record.wrong(k, f"{engine}: unsat on box {box} of network {k}, which has a counterexample",
                                 network__onnx=hidden.onnx, spec__vnnlib=spec_text(spec),
                                 planted__txt=" ".join(np.format_float_positional(v) for v in hidden.planted[box]))
    return record.result()


EXPERIMENT = Experiment("hidden counterexamples", "never `unsat` where training hid a counterexample", run,
                        lambda: 60, 1)
