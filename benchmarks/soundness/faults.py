"""Faults injected while the verifier works: whatever breaks, a violated property is never called `unsat`, a safe one
never `sat`, and a network with a NaN gets no verdict.

NaN and infinity in a weight, allocations that fail at any point, bounders that return NaN, an LP solver that lies about
infeasibility, duals and points, and a supervised worker that is killed at a random moment.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from types import MappingProxyType
from unittest import mock

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from benchmarks.soundness.bounds import random_onnx
from benchmarks.soundness.experiment import Experiment
from benchmarks.soundness.injection import (
    ALLOCATING,
    FAILURES,
    LIES,
    NAN_PLACES,
    blind,
    failing,
    lying_backend,
    lying_solver,
    returning_nan,
)
from benchmarks.soundness.questions import ask, spec_text
from benchmarks.soundness.sampling import random_box, random_points
from benchmarks.soundness.tally import Recorder, Tally
from tests.soundness.curved_networks import CurvedProblem, curved_problem
from tests.soundness.random_networks import Problem, problem
from tests.verify.bounds.laws import varying, with_rows
from verify.bounds.root import compact_root
from verify.lp.leaf import decide_leaf
from verify.onnx_import import from_bytes, simplify
from verify.sets import Interval
from verify.supervise import Outcome, supervise

ENGINES = ("bab", "alpha-crown", "crown", "milp", "portfolio", "ibp")
SECONDS = 1.0
MILP_NOTE = ("A MILP solver that lies with its dual bound cannot be found out (MILP bounds are the solver's word): "
             "not injected. Its points and its claims of infeasibility are.")

Question = Problem | CurvedProblem
Fault = Callable[[Question, np.random.Generator, Recorder], str]
"""Injects one fault into one question; what is wrong with the answer, empty if nothing is."""


def judged(p: Question, verdict: str, what: str, record: Recorder) -> str:
    record.count(f"{what}: {verdict}")
    if p.unsafe is not None:
        return "unsat although the property is violated" if verdict == "unsat" else ""
    # Of networks with curves nobody knows that a property is safe; their witnesses are judged elsewhere.
    return "sat although the property is safe" if verdict == "sat" and isinstance(p, Problem) else ""


def put(p: Question, engine: str, rng: np.random.Generator, seconds: float = SECONDS) -> str:
    """The verdict; half of the violated properties are searched blindly, so that `sat` is no way out."""
    with blind() if p.unsafe is not None and rng.random() < 0.5 else nullcontext():
        return ask(p.onnx, p.spec, engine, seconds).verdict


def spoiled_weight(p: Question, rng: np.random.Generator, record: Recorder) -> str:
    """One entry of a weight is no finite number. (Scalars may be limits of a Clip, where infinity has a meaning.)"""
    model = onnx.load_from_string(p.onnx)
    places = [k for k, t in enumerate(model.graph.initializer) if t.data_type == onnx.TensorProto.FLOAT and t.dims]
    tensor = model.graph.initializer[int(rng.choice(places))]
    values = numpy_helper.to_array(tensor).copy()
    bad = float(rng.choice([np.nan, np.inf, -np.inf]))
    values.reshape(-1)[rng.integers(values.size)] = bad
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    engine = str(rng.choice(ENGINES))
    verdict = ask(model.SerializeToString(), p.spec, engine, SECONDS).verdict
    record.count(f"weight: {verdict}")
    return f"{verdict} by {engine} on a network with {bad} in a weight" if verdict in ("sat", "unsat") else ""


def no_memory(p: Question, rng: np.random.Generator, record: Recorder) -> str:
    """A call somewhere in the computation fails, early or late."""
    place, call = str(rng.choice(ALLOCATING)), int(10 ** rng.uniform(0, 2.7))
    engine, failure = str(rng.choice(ENGINES)), FAILURES[rng.integers(len(FAILURES))]
    with failing(place, call, failure) as calls:
        verdict = put(p, engine, rng)
    record.count("failed calls that happened", int(calls[0] >= call))
    wrong = judged(p, verdict, "failed call", record)
    return wrong and f"{wrong}: {engine} with a failure in call {call} of {place}"


def nan_bounds(p: Question, rng: np.random.Generator, record: Recorder) -> str:
    """A bounder returns NaN at random."""
    place, engine = str(rng.choice(list(NAN_PLACES))), str(rng.choice(ENGINES[:5]))
    with returning_nan(place, rng):
        verdict = put(p, engine, rng)
    wrong = judged(p, verdict, "NaN bounds", record)
    return wrong and f"{wrong}: {engine} with NaN from {place}"


def lying_search(p: Question, rng: np.random.Generator, record: Recorder) -> str:
    """Branch and bound, or MILP, whose solver lies."""
    lie, engine = str(rng.choice(LIES)), str(rng.choice(["bab", "milp"]))
    with lying_solver(lie, rng):
        verdict = put(p, engine, rng, SECONDS / 2)
    wrong = judged(p, verdict, f"lying solver, {engine}", record)
    return wrong and f"{wrong}: {engine} with a solver that lies: {lie}"


def lying_leaf(p: Question, rng: np.random.Generator, record: Recorder) -> str:
    """One LP of a random subproblem, decided by a liar: its bound is not above the largest row at a true point."""
    del p  # a random network of its own, with random rows
    number = int(rng.integers(1 << 30))
    graph = with_rows(simplify(from_bytes(random_onnx(number, 0)).graph), number % 1000)
    generator = torch.Generator().manual_seed(number)
    box = random_box(graph.input.shape, generator)
    wide = Interval(box.lower.double(), box.upper.double())
    root = compact_root(graph, wide, varying(wide))
    lie = str(rng.choice(LIES))
    leaf = decide_leaf(root.network, [0, 1, 2], None, 1.0, lying_backend(lie, rng))
    least = float(graph.evaluate(random_points(box, 40, generator)).amax(1).min())
    record.count("lying leaf: positive bounds", int(leaf.bound > 0))
    if not leaf.bound <= least + 1e-12 * (1 + abs(least)):
        return (f"a leaf's bound {leaf.bound:.6g} on random_onnx({number}, 0) is above the value {least:.6g}, with a "
                f"solver that lies: {lie}")
    return ""


def killed_worker(p: Question, rng: np.random.Generator, record: Recorder) -> str:
    """The supervised child is killed at a random moment; what the parent says is judged."""
    delay, fork, timers = float(rng.exponential(0.03)), os.fork, []

    def work() -> Outcome:
        verdict = ask(p.onnx, p.spec, "bab", SECONDS).verdict
        return Outcome({"unsat": 0, "sat": 1}.get(verdict, 3), verdict)

    def killing_fork() -> int:
        child = fork()
        if child:
            timers.append(threading.Timer(delay, _kill, (child,)))
            timers[0].start()
        return child

    with mock.patch.object(os, "fork", killing_fork):
        outcome = supervise(work, deadline=time.monotonic() + 10 * SECONDS)
    for timer in timers:
        timer.cancel()
    record.count("killed before the answer", int(not outcome.finished))
    if not outcome.finished and outcome.line in ("sat", "unsat"):
        return f"the verdict {outcome.line} of a worker that did not finish"
    return judged(p, outcome.line, "killed worker", record)


def _kill(child: int) -> None:
    """Ends our own child; it may have ended by itself."""
    try:
        os.kill(child, signal.SIGKILL)
    except ProcessLookupError:
        return


FAULTS: MappingProxyType[str, Fault] = MappingProxyType({fault.__name__: fault for fault in (
    spoiled_weight, no_memory, nan_bounds, lying_search, lying_leaf, killed_worker)})


def run(cases: range, seed: int) -> Tally:
    """Case k: faults in turns, on the random network of seed `seed` + k; every third round on one with curves."""
    record, names = Recorder(), tuple(FAULTS)
    record.note(MILP_NOTE)
    for k in cases:
        name, draw = names[k % len(names)], curved_problem if k // len(names) % 3 == 2 else problem
        p = draw(seed + k)
        record.tried()
        record.count(name)
        if wrong := FAULTS[name](p, np.random.default_rng((seed, k)), record):
            record.wrong(k, f"{name}, seed {p.seed}: {wrong}", network__onnx=p.onnx, spec__vnnlib=spec_text(p.spec))
    return record.result()


EXPERIMENT = Experiment("fault injection", "no verdict from a computation that failed", run, lambda: 6_000, 60)
