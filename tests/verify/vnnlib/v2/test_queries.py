"""Queries from text to verdict on tiny networks whose answers are known by hand; witnesses are read and replayed by an
independent reader."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import onnxruntime
import pytest

from tests.verify.vnnlib.v2.models import absolute, two_in_two_out
from tests.verify.vnnlib.v2.texts import HEADER, box, network, query, tensor
from verify.api import verify
from verify.budget import Budget
from verify.certificate.assignment import counterexample_text
from verify.errors import UnsupportedSpec
from verify.onnx_import import from_bytes
from verify.onnx_import.bind import bound
from verify.pipeline import Problem, solve
from verify.result import Verdict
from verify.semantics import asked
from verify.vnnlib import parse_spec

NET = absolute()
PAIR = network() + network("g", "U", "V")
SAME = network() + network("g", "U", "V", "(equal-to f)")
BOTH = box() + box("U")
HIDDEN = f"""(declare-network f {tensor("input", "X")} {tensor("hidden", "H", onnx='"h"')} {tensor("output", "Y")})\n"""
TWO = f"(declare-network f {tensor('input', 'A')} {tensor('input', 'B', '[1]')} {tensor('output', 'S', '[1,1]')} " \
      f"{tensor('output', 'T')})\n"
TWO_BOX = box("A") + "(assert (and (>= B[0] 0.5) (<= B[0] 1.0)))\n"


@dataclass(frozen=True)
class Asked:
    verdict: str
    text: str


def ask(text: str, models, semantics: str = "auto", seconds: float = 20.0) -> Asked:
    spec = parse_spec(text, "q.vnnlib")
    loaded = ({name: from_bytes(data, name) for name, data in models.items()} if isinstance(models, dict)
              else from_bytes(models, "net.onnx"))
    net = bound(loaded, spec)
    result = solve(Problem(net, spec, asked(spec, semantics)), budget=Budget.seconds(seconds))
    found = "" if result.witness is None else counterexample_text(spec, net, result.witness)
    return Asked(result.as_vnncomp, found)


def read(text: str) -> dict[str, np.ndarray]:
    """Reader of the assignment format of the standard, written from its text."""
    lines, found = iter(text.splitlines()), {}
    for header in lines:
        name, dtype, shape = header.split(" ")
        assert dtype in ("real", "float32") and shape[0] == "[" and shape[-1] == "]"
        sizes = [int(size) for size in shape[1:-1].split(",") if size]
        values = [float(line) for line in itertools.islice(lines, int(np.prod(sizes)))]
        found[name] = np.array(values, np.float32).reshape(sizes)
    return found


def replayed(model: bytes, **fed: np.ndarray) -> list[np.ndarray]:
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, fed)


# One network: arithmetic, strictness, connectives


@pytest.mark.parametrize(("condition", "verdict"), [
    # y = (|x0|, x0) on [-1, 1]
    ("(>= Y[0,0] 1.0)", "sat"), ("(> Y[0,0] 1.01)", "unsat"), ("(<= Y[0,0] 0.0)", "sat"), ("(< Y[0,0] -0.01)", "unsat"),
    ("(!= Y[0,0] X[0,0])", "sat"), ("(and (>= Y[0,0] 0.5) (<= Y[0,0] 0.5001))", "sat"), ("(== Y[0,0] 2.0)", "unsat"),
    ("(and (>= Y[0,0] 0.5) (!= Y[0,1] -0.5) (< Y[0,1] 0.25) (> Y[0,1] -0.4))", "unsat"),
    ("(< (+ Y[0,0] Y[0,1]) -0.01)", "unsat"), ("(>= (- Y[0,0] Y[0,1]) 2.0)", "sat"),
    ("(> (- (* 2.0 Y[0,0]) Y[0,1] X[0,0]) 4.01)", "unsat"),
    ("(or (> Y[0,0] 1.01) (and (<= X[0,0] -0.75) (>= Y[0,1] -0.5)))", "unsat"),
    ("(or (> Y[0,0] 1.01) (and (<= X[0,0] -0.75) (>= Y[0,0] 0.75)))", "sat"),
    # Polytopes over the inputs
    ("(and (<= (+ X[0,0] X[0,1]) -1.0) (>= X[0,1] -0.5) (> Y[0,1] -0.49))", "unsat"),
    ("(and (<= (+ X[0,0] X[0,1]) -1.0) (>= X[0,1] -0.5) (>= Y[0,1] -0.75))", "sat"),
    ("(and (<= (- X[0,0] X[0,1]) 0.25) (<= (- X[0,1] X[0,0]) 0.25) (>= X[0,1] 0.75) (<= Y[0,1] 0.45))", "unsat"),
    # Polynomials
    ("(> (* Y[0,0] Y[0,1]) 1.05)", "unsat"), ("(>= (* Y[0,0] Y[0,1]) 0.9)", "sat"),
    ("(> (* X[0,0] X[0,0]) 1.01)", "unsat"), ("(< (* Y[0,0] Y[0,0]) -0.01)", "unsat"),
    ("(>= (+ (* X[0,0] X[0,0]) (* X[0,1] X[0,1])) 2.0)", "sat"),
    ("(> (+ (* X[0,0] X[0,0]) (* X[0,1] X[0,1])) 2.05)", "unsat"),
    ("(>= (* X[0,0] X[0,1] Y[0,0]) 1.0)", "sat"), ("(>= (* X[0,0] X[0,1] Y[0,0]) 1.05)", "unsat"),
])
def test_one_network(condition, verdict):
    found = ask(query(f"(assert {condition})"), NET)
    assert found.verdict == verdict
    if verdict == "sat":
        values = read(found.text)
        assert list(values) == ["X", "Y"]
        assert np.array_equal(replayed(NET, x=values["X"])[0], values["Y"])


def test_polynomials_on_many_boxes():
    """Enough boxes for the batched pass, which knows outputs but no monomials."""
    parts = " ".join(f"(and (>= X[0,0] {k}.0) (<= X[0,0] {k}.5) (> (* Y[0,0] Y[0,0]) {(k + 0.6) ** 2:.3f}))"
                     for k in range(6))
    text = query(f"(assert (or {parts}))", bounded=box(lower="0.0", upper="6.0"))
    assert ask(text, NET).verdict == "unsat"
    assert ask(text.replace("2.560", "2.240"), NET).verdict == "sat"


@pytest.mark.parametrize("condition", [
    "(> Y[0,0] 1.0)", "(!= Y[0,1] X[0,0])", "(and (<= X[0,0] -0.5) (> Y[0,1] -0.5))", "(> (* X[0,0] X[0,0]) 1.0)",
])
def test_no_witness_on_the_border_of_a_strict_condition(condition):
    """All of these hold with equality somewhere, and nowhere strictly; bounds with rounding may leave them open."""
    assert ask(query(f"(assert {condition})"), NET, seconds=1.0).verdict != "sat"


# Several inputs and outputs, a scalar, hidden values


@pytest.mark.parametrize(("condition", "verdict"), [
    ("(>= S[0,0] 3.0)", "sat"), ("(> S[0,0] 3.01)", "unsat"), ("(< S[0,0] (- B[0] 0.01))", "unsat"),
    ("(and (<= S[0,0] B[0]) (>= A[0,0] 0.5) (>= A[0,1] -0.25))", "unsat"), ("(> T[0,1] (+ B[0] 0.01))", "unsat"),
    ("(and (<= T[0,0] -0.7) (<= B[0] 0.75))", "sat"), ("(> (- T[0,0] (* B[0] A[0,0])) 0.01)", "unsat"),
])
def test_several_inputs_and_outputs(condition, verdict):
    found = ask(HEADER + TWO + TWO_BOX + f"(assert {condition})", two_in_two_out([1]))
    assert found.verdict == verdict
    if verdict == "sat":
        values = read(found.text)
        assert list(values) == ["A", "B", "S", "T"]
        outputs = replayed(two_in_two_out([1]), a=values["A"], b=values["B"])
        assert all(np.array_equal(a, values[name]) for a, name in zip(outputs, "ST", strict=True))


def test_a_scalar():
    text = HEADER + TWO.replace("[1])", "[])") + TWO_BOX.replace("[0]", "") + "(assert (>= S[0,0] (+ B 2.0)))"
    found = ask(text, two_in_two_out([]))
    values = read(found.text)
    assert found.verdict == "sat" and values["B"].shape == ()
    assert replayed(two_in_two_out([]), a=values["A"], b=values["B"])[0] == values["S"]


@pytest.mark.parametrize(("condition", "verdict"), [
    ("(> (+ H[0,0] H[0,1]) (+ Y[0,0] 0.01))", "unsat"), ("(and (> H[0,0] 0.01) (> H[0,1] 0.01))", "unsat"),
    ("(and (>= H[0,0] 0.5) (<= Y[0,0] 0.75))", "sat"), ("(< H[0,1] -0.01)", "unsat"),
])
def test_hidden_values(condition, verdict):
    found = ask(query(f"(assert {condition})", HIDDEN), NET)
    assert found.verdict == verdict
    if verdict == "sat":
        values = read(found.text)
        assert list(values) == ["X", "H", "Y"] and 0.5 <= values["H"][0, 0] <= 0.75 and values["H"][0, 1] == 0.0


# Several networks


@pytest.mark.parametrize(("conditions", "bounds", "verdict"), [
    (["(== X[0,0] U[0,0])", "(> Y[0,0] (+ V[0,0] 0.01))"], BOTH, "unsat"),
    (["(<= X[0,0] (- U[0,0] 0.1))", "(> Y[0,1] V[0,1])"], BOTH, "unsat"),
    (["(<= X[0,0] U[0,0])", "(> Y[0,0] (+ V[0,0] 0.75))"], BOTH, "sat"),
    (["(== U[0,0] (- X[0,0]))", "(or (> Y[0,0] (+ V[0,0] 0.01)) (< Y[0,0] (- V[0,0] 0.01)))"], BOTH, "unsat"),
    (["(<= U[0,0] (+ X[0,0] 0.25))", "(== U[0,1] 0.0)", "(>= V[0,1] (+ Y[0,1] 0.2))"], BOTH, "sat"),
])
@pytest.mark.parametrize("twice", [False, True], ids=["equal-to", "two files"])
def test_two_networks(conditions, bounds, verdict, twice):
    body = "".join(f"(assert {condition})" for condition in conditions)
    found = ask(query(body, PAIR if twice else SAME, bounds), {"f": NET, "g": NET} if twice else NET)
    assert found.verdict == verdict
    if verdict == "sat":
        values = read(found.text)
        assert list(values) == ["X", "Y", "U", "V"]
        for x, y in (("X", "Y"), ("U", "V")):
            assert np.array_equal(replayed(NET, x=values[x])[0], values[y])


def test_different_networks_with_equal_inputs():
    shifted = absolute(bias=(0.25, -0.25))  # y = (|x0 + 0.25|, x0 + 0.25)
    differ = "(assert (or (> V[0,1] (+ Y[0,1] {0})) (< V[0,1] (- Y[0,1] {0}))))"
    equal = "(assert (and (== X[0,0] U[0,0]) (== X[0,1] U[0,1])))"
    for delta, verdict in (("0.26", "unsat"), ("0.2", "sat")):
        text = query(equal + differ.format(delta), PAIR, box())
        assert ask(text, {"f": NET, "g": shifted}).verdict == verdict
    isomorphic = network() + network("g", "U", "V", "(isomorphic-to f)")
    assert ask(query(equal + differ.format("0.3"), isomorphic, box()), {"f": NET, "g": shifted}).verdict == "unsat"


def test_three_networks():
    third = SAME + network("h", "P", "Q", "(equal-to f)")
    text = query("(assert (<= X[0,0] U[0,0]))(assert (<= U[0,0] (- P[0,0] 0.5)))(assert (> Y[0,1] Q[0,1]))", third,
                 BOTH + box("P"))
    assert ask(text, NET).verdict == "unsat"


# Types


def test_float32_queries_are_about_executions():
    """Between the bound over the reals and the one that covers roundings are claims that only the first proves."""
    third = absolute(weight=((np.float32(1 / 3), 0.0), (0.0, 0.0)))
    most = f"{float(np.float32(1 / 3)) + 1e-9:.30f}"
    condition = f"(assert (> Y[0,0] {most}))"
    typed = query(condition, network(dtype="float32"))
    assert ask(query(condition), third).verdict == ask(typed, third, "real").verdict == "unsat"
    assert ask(typed, third, seconds=2.0).verdict == "unknown"
    assert ask(query("(assert (> Y[0,0] 0.334))", network(dtype="float32")), third).verdict == "unsat"


def test_types_that_the_analysis_does_not_follow():
    text = query("(assert (> Y[0,0] 1.01))", network(dtype="float64"))
    double = absolute(elem=11)
    with pytest.raises(UnsupportedSpec, match=r"q.vnnlib:2: X has type float64.*--semantics real"):
        ask(text, double)
    assert ask(text, double, "real").verdict == "unsat"


# The library call


def test_models_by_name():
    text = query("(assert (== X[0,0] U[0,0]))(assert (> Y[0,0] (+ V[0,0] 0.01)))", PAIR, BOTH)
    result = verify({"f": NET, "g": NET}, parse_spec(text), timeout=20)
    assert result.verdict is Verdict.VERIFIED and result.semantics == "real"
