import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.verify.engines.problems import networks, problem, several
from verify.budget import Budget
from verify.errors import InvalidInput, OutOfResources, ShapeMismatch
from verify.pipeline import (
    Clock,
    Problem,
    choose_device,
    choose_dtype,
    combine,
    compare_import,
    graph_flops,
    load_problem,
    solve,
)
from verify.properties import linear
from verify.query import InputBox
from verify.result import ClosedTree, Reason, Result, Stats, Verdict, Witness

HOLDS, FAILS = 0.1, -0.1


def verified(margin=1.0, leaves=1, **rest):
    return Result.verified(ClosedTree(leaves, margin), **rest)


def falsified():
    return Result.falsified(Witness(np.zeros(1), np.zeros(1), 0.0))


def with_empty(p: Problem, first: bool) -> Problem:
    """One more case whose box is empty."""
    case = p.spec.cases[0]
    low, high = case.box.lower.copy(), case.box.upper.copy()
    low[0], high[0] = 2.0, 1.0
    empty = replace(case, box=InputBox(low, high, low, high))
    cases = (empty, *p.spec.cases) if first else (*p.spec.cases, empty)
    return Problem(p.network, replace(p.spec, cases=cases))


@pytest.mark.parametrize(("above", "verdict"), [
    ([HOLDS], Verdict.VERIFIED), ([HOLDS, HOLDS, HOLDS], Verdict.VERIFIED), ([HOLDS, FAILS], Verdict.FALSIFIED),
    ([FAILS, HOLDS], Verdict.FALSIFIED), ([HOLDS, 0.0], None),
])
def test_all_boxes_must_hold(above, verdict):
    result = solve(several("abs", above), budget=Budget.seconds(5 if verdict else 0.7))
    assert result.verdict is verdict or (verdict is None and result.verdict is not Verdict.VERIFIED)
    if verdict is Verdict.VERIFIED:
        assert result.tree.leaves >= len(above)


def test_an_empty_box_holds_with_a_note():
    only = with_empty(problem("abs", HOLDS), True)
    only = Problem(only.network, replace(only.spec, cases=only.spec.cases[:1]))
    result = solve(only)
    assert result.verdict is Verdict.VERIFIED and "X_0" in result.tree.note and "empty" in result.tree.note
    assert "empty" in solve(with_empty(problem("abs", HOLDS), False)).tree.note
    assert solve(with_empty(problem("abs", FAILS), True)).verdict is Verdict.FALSIFIED


@pytest.mark.parametrize("method", ["portfolio", "bab", "alpha-crown", "milp"])
def test_a_spent_budget_is_timed_out(method):
    result = solve(problem("abs", HOLDS), method, Budget(deadline=-1.0))
    assert result.verdict is Verdict.UNKNOWN and result.reason is Reason.TIMEOUT
    assert result.as_vnncomp == "timed-out"


def test_time_running_out_between_boxes_proves_nothing():
    result = solve(several("abs", [HOLDS, HOLDS, FAILS]), "ibp", Budget(deadline=-1.0))
    assert result.verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(("lower", "outputs", "message"), [
    ([0.0], 1, r"1 inputs.*has 2"), ([0.0, 0.0, 0.0], 1, r"3 inputs.*has 2"),
    ([0.0, 0.0], 2, r"2 outputs.*has 2 and 1"),
])
def test_counts_that_do_not_fit_are_named(lower, outputs, message):
    upper = [1.0] * len(lower)
    with pytest.raises(ShapeMismatch, match=message):
        Problem(networks()["abs"][0], linear(lower, upper, [[1.0] * outputs], [0.0]))


def test_combine():
    budget = Budget()
    assert combine([], 0, budget).tree.smallest_margin == math.inf
    unknown = Result.unknown(Reason.MEMORY, "first")
    late = Result.unknown(Reason.DEPTH, "second")
    assert combine([verified(), falsified(), unknown], 3, budget).verdict is Verdict.FALSIFIED
    assert combine([unknown, falsified()], 3, budget).verdict is Verdict.FALSIFIED
    assert combine([verified(), unknown, late], 3, budget).detail == "first"
    both = combine([verified(0.5, 3, stats=Stats(domains=4, phases={"a": 1.0})),
                    verified(0.25, 2, stats=Stats(domains=5, phases={"a": 2.0}))], 2, budget)
    assert both.tree.smallest_margin == 0.25 and both.tree.leaves == 5
    assert both.stats.domains == 9 and both.stats.phases == {"a": 3.0} and both.stats.best_bound == 0.25
    missing = combine([verified()], 2, budget)
    assert missing.verdict is Verdict.UNKNOWN and missing.reason is Reason.TIMEOUT and "1 of 2" in missing.detail


def test_dtype_and_device():
    graph = networks()["abs"][0].graph
    assert choose_dtype("auto", graph) is torch.float64
    assert choose_dtype("float32", graph) is torch.float32
    assert graph_flops(graph) > 0
    assert choose_device("cpu") == "cpu"
    if not torch.cuda.is_available():
        assert choose_device("auto") == "cpu"
        with pytest.raises(InvalidInput, match="cuda"):
            choose_device("cuda")


def test_the_same_seed_gives_the_same_witness():
    one, two = (solve(problem("max", FAILS), seed=3) for _ in range(2))
    assert (one.witness.x == two.witness.x).all()


def test_progress_is_reported():
    seen = []
    solve(problem("abs", HOLDS), on_progress=lambda progress: seen.append(progress.phase))
    assert seen and all(isinstance(phase, str) for phase in seen)


def test_the_import_is_compared():
    compare_import(problem("hat", HOLDS))


def test_files_are_read(tmp_path):
    asked = problem("hat", HOLDS)
    net, spec = tmp_path / "hat.onnx", tmp_path / "hat.vnnlib"
    net.write_bytes(asked.network.onnx)
    spec.write_text("(declare-const X_0 Real)(declare-const Y_0 Real)(assert (>= X_0 0.0))(assert (<= X_0 2.0))"
                    "(assert (>= Y_0 0.9))")
    assert solve(load_problem(net, spec)).verdict is Verdict.FALSIFIED
    with pytest.raises(InvalidInput, match="nothing"):
        load_problem(tmp_path / "nothing.onnx", spec)


def test_an_unknown_method_is_refused_before_any_work():
    with pytest.raises(InvalidInput, match="guess"):
        solve(problem("hat", HOLDS), "guess")


def test_the_clock_adds_up_and_survives_errors():
    clock = Clock()
    assert clock.time("a", lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        clock.time("a", lambda: 1 / 0)
    assert set(clock.phases) == {"a"} and clock.phases["a"] >= 0


class Failing:
    """An engine that fails with a given exception, whatever it is asked."""

    def __init__(self, error: Exception):
        self.error = error

    def verify(self, query, budget):
        raise self.error


@pytest.mark.parametrize(("error", "reason"), [
    (MemoryError(), Reason.MEMORY), (OutOfResources("too large"), Reason.MEMORY), (TimeoutError(), Reason.TIMEOUT),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"), Reason.MEMORY),
])
def test_running_out_inside_an_engine_is_unknown(monkeypatch, error, reason):
    monkeypatch.setattr("verify.pipeline.create", lambda name, settings: Failing(error))
    result = solve(problem("abs", HOLDS))
    assert result.verdict is Verdict.UNKNOWN and result.reason is reason


def test_other_failures_of_an_engine_stay_errors(monkeypatch):
    monkeypatch.setattr("verify.pipeline.create", lambda name, settings: Failing(RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        solve(problem("abs", HOLDS))


def test_counterexamples_are_labelled():
    result = solve(problem("abs", FAILS))
    found = result.witness.robustness
    assert (result.verdict, found.label, found.exact) == (Verdict.FALSIFIED, "robust", True)
    assert 0 < found.rounding < found.lower and result.witness.optimised.shape == result.witness.y.shape


@pytest.mark.parametrize("error", [RuntimeError("no kernel"), MemoryError(), OutOfResources("too large"), KeyError(3)])
def test_a_label_that_fails_leaves_the_verdict(monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr("verify.certificate.robustness._judge", fail)
    result = solve(problem("abs", FAILS))
    assert (result.verdict, result.witness.robustness.label) == (Verdict.FALSIFIED, "unlabelled")
    assert "not compared with rounding" in result.witness.robustness.explanation
