"""Networks built to fool floating-point provers (tests/soundness/float_attacks.py): the claim over the reals stays
true, the claim about float32 executions is never given.

The first cases are the published ones as they are, the others draw their sizes anew: constants that swallow the input,
sums whose value depends on their order, long sums close to the border.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from benchmarks.soundness.experiment import Experiment
from benchmarks.soundness.questions import ask
from benchmarks.soundness.tally import Recorder, Tally
from tests.soundness.float_attacks import Attack, attacks, hidden, narrow, neurons, order, swallowed
from verify.onnx_import import from_bytes
from verify.query import Spec

ENGINES = ("ibp", "crown", "alpha-crown", "bab", "milp", "portfolio")
DTYPES = ("float64", "float32")
SECONDS = 0.5


@lru_cache(maxsize=1)
def published() -> tuple[Attack, ...]:
    return attacks()


def attack_of(case: int, seed: int) -> Attack:
    """The attacks as they are, then drawn ones."""
    if case < len(published()):
        return published()[case]
    rng = np.random.default_rng((seed, case))
    kind = case % 5
    if kind == 0:
        return swallowed(int(rng.integers(27, 90)))
    if kind == 1:
        return hidden(int(rng.integers(27, 90)))
    if kind == 2:
        return neurons(int(rng.integers(26, 50)))
    if kind == 3:
        return order(float(10 ** rng.uniform(-2, 6)))
    inputs = int(rng.integers(20, 200))
    drawn = narrow(inputs, float(10 ** rng.uniform(-9.5, -8)), int(rng.integers(1 << 30)))
    return replace(drawn, name=f"narrow-{inputs}")


def run(cases: range, seed: int) -> Tally:
    """Case k is attack k, put to every engine under both semantics, dtypes in turns."""
    record = Recorder()
    for k in cases:
        attack = attack_of(k, seed)
        inputs = int(np.prod(from_bytes(attack.model).input_shape))
        spec = Spec(inputs, 1, (attack.case,), attack.name)
        record.tried()
        proved = False
        for number, engine in enumerate(ENGINES):
            for semantics in ("real", "float32"):
                dtype = DTYPES[(k + number) % 2]
                verdict = ask(attack.model, spec, engine, SECONDS, dtype, semantics=semantics).verdict
                record.count(f"{semantics}: {verdict}")
                proved = proved or (semantics == "real" and verdict == "unsat")
                if verdict == "unsat" and (semantics == "float32" or not attack.holds):
                    record.wrong(k, f"{attack.name}: unsat by {engine} in {dtype} under {semantics} semantics",
                                 network__onnx=attack.model, what__txt=str(attack.case.disjuncts))
        record.count("hold over the reals" if attack.holds else "violated over the reals")
        record.count("proved over the reals", int(proved))
    return record.result()


EXPERIMENT = Experiment("float attacks", "true over the reals, and no claim about float32", run, lambda: 300, 5)
