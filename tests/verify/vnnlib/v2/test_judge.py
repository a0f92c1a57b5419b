"""The `vnnlib` package, made by the authors of the standard, as an independent judge: what is accepted, what is
refused, and what the accepted texts mean."""

from __future__ import annotations

import operator
import random

import numpy as np
import pytest

from tests.verify.vnnlib.v2.texts import HEADER, box, network, query, tensor
from verify.errors import InvalidInput, VerifyError
from verify.query import Spec
from verify.vnnlib import parse_spec

vnnlib = pytest.importorskip("vnnlib", reason="the package vnnlib (the standard's own parser) is not installed")

PAIR = network() + network("g", "U", "V")


def with_assert(*conditions: str, networks: str = "", bounded: str = box()) -> list[str]:
    return [query(f"(assert {condition})", networks, bounded) for condition in conditions]


def with_term(*terms: str) -> list[str]:
    return with_assert(*(f"(<= {term} Y[0,0])" for term in terms))


def declared(*inside: str) -> list[str]:
    """Networks that are declared like this, with bounds on X."""
    return [query("", f"(declare-network f {part})") for part in inside]


def second(*extras: str, shape: str = "[1,2]") -> list[str]:
    return [query("", network() + network("g", "U", "V", extra, shape=shape), box() + box("U")) for extra in extras]


X, Y, H = tensor("input", "X"), tensor("output", "Y"), tensor("hidden", "H", onnx='"h"')

AGREED = [
    # Query and version
    query(""), "; c\n" + query("") + "; d", HEADER + network(), HEADER + box(), HEADER, "", query("")[len(HEADER):],
    HEADER + query(""), query("") + network("g", "U", "V"), query("(check-sat)"), query("(assert"), query("") + ")",
    *(query("").replace("<2.0>", version) for version in ("<2.1>", "<1.0>", "<3.0>", "<2>", "2.0", "")),
    # Networks and tensors
    *declared(X + Y, X + H + Y, Y + X, X, Y, X + Y + H, H + X + Y, "", "g" + X + Y,
              tensor("input", "X", "[1,2]") + tensor("output", "Y", "[]"), X + tensor("hidden", "H") + Y,
              tensor("input", "X", "[1,-2]") + Y, tensor("input", "X", "[1,0]") + Y, "(declare-input X real)" + Y,
              '(declare-input X real [1,2] "x")' + Y, "(declare-input X real [1,2] initialized)" + Y,
              X + tensor("output", "X"), X + tensor("output", "and"), X + tensor("output", "_Y"),
              X + tensor("output", "Y-1"), X + tensor("output", "1Y"), X + tensor("output", "Y_1a")),
    *second("", "(equal-to f)", "(isomorphic-to f)", "(equal-to g)", "(equal-to h)", "(equal-to)", "(same-as f)"),
    *second("(equal-to f)", "(isomorphic-to f)", shape="[1,2,1]"),
    query("", f"(declare-network f {X} {tensor('input', 'U', '[]')} {Y})", box() + "(assert (== U 0.5))"),
    query("", network("g", "U", "V", "(equal-to f)") + network(), box() + box("U")),
    query("", network() + network("g", "X", "V")), query("", PAIR, box() + box("U")),
    *(query("", network() + network("g", "U", "V", "(equal-to f)") + network("h", "A", "B", extra),
            box() + box("U") + box("A")) for extra in ("(equal-to f)", "(equal-to g)", "(isomorphic-to g)")),
    query("", network(dtype="float32") + network("g", "U", "V", "(equal-to f)", dtype="float64"), box() + box("U")),
    # Assertions
    *with_assert("(< Y[0,0] 1.0)", "(<= Y[0,0] 1.0)", "(> Y[0,0] 1.0)", "(>= Y[0,0] 1.0)", "(== Y[0,0] 1.0)",
                 "(!= Y[0,0] 1.0)", "(= Y[0,0] 1.0)", "(<> Y[0,0] 1.0)", "(<= Y[0,0])", "(<= Y[0,0] 1.0 2.0)", "",
                 "Y[0,0]", "true", "(Y[0,0])", "((<= Y[0,0] 1.0))", "(and)", "(or)", "(not (<= Y[0,0] 1.0))",
                 "(=> (<= Y[0,0] 1.0) (<= Y[0,1] 1.0))", "(and (<= Y[0,0] 1.0))", "(or (<= Y[0,0] 1.0))",
                 "(or (and (<= Y[0,0] 1.0) (or (< X[0,0] 0.5) (> Y[0,1] Y[0,0]))) (!= Y[0,0] 1.0))",
                 "(and (<= Y[0,0] 1.0) Y[0,0])", "(<= 1.0 2.0)", "(<= 1 2)", "(<= 1 2.0)"),
    # Terms
    *with_term("1.0", "-1.0", "007.50", "1", "1e3", "1.0e3", "+1.0", ".5", "5.", "- 1.0", "X", "X[0]", "X[0,0]",
               "X [0,0]", "X[ 0 , 0 ]", "X[00,0]", "X[0,0,0]", "X[0,2]", "X[1,0]", "X[]", "X[0,]", "Z[0]", "f", "X_0",
               "(+ X[0,0])", "(+ X[0,0] 1.0 Y[0,1])", "(+)", "(- X[0,0])", "(- X[0,0] 1.0 2.0)", "(-)", "(* 2.0)",
               "(* 2.0 X[0,0] X[0,1] X[0,0])", "(*)", "(/ X[0,0] 2.0)", "(* 2 X[0,0])", "(+ 1 1)", "(- (- 1.0))",
               "(<= X[0,0] 1.0)", "()", '"X"'),
    query("(assert (<= Y[0,0] V[0,0]))", network(dtype="float32") + network("g", "U", "V", dtype="float64"),
          box() + box("U")),
]

# What the standard's text says and the package does not check, or the other way round.
DIFFERENT = {
    "an index is no negative number": with_term("X[0,-1]"), "an index is an integer": with_term("X[0.0,0]"),
    "networks have names of their own": [query("", network() + network("f", "U", "V"), box() + box("U"))],
    "one equivalence at most": second("(isomorphic-to f) (equal-to f)"),
    "real for all variables or for none": declared(X + tensor("output", "Y", dtype="float32")),
    "types are those of ONNX": declared(tensor("input", "X", dtype="float") + tensor("output", "Y", dtype="float")),
    "integers are no numbers of this analysis": [
        query("", network(dtype="int32"), box().replace(".0", ""))],
}
LENIENT = {
    "blanks are free between all tokens": [query("").replace("(assert", "( assert")],
    "isomorphic networks may differ in their types": [query(
        "", network(dtype="float32") + network("g", "U", "V", "(isomorphic-to f)", dtype="float64"), box() + box("U"))],
}


def judged(text: str) -> bool:
    try:
        vnnlib.parse_query_string(text)
    except vnnlib.VNNLibException:
        return False
    return True


def accepted(text: str) -> bool:
    try:
        parse_spec(text)
    except VerifyError:
        return False
    return True


@pytest.mark.parametrize("text", AGREED)
def test_acceptance_agrees(text):
    assert accepted(text) == judged(text), text


def test_the_corpus_has_both_kinds():
    count = sum(map(accepted, AGREED))
    assert 30 < count < len(AGREED) - 60


@pytest.mark.parametrize(("reason", "texts"), DIFFERENT.items(), ids=list(DIFFERENT))
def test_stricter_by_the_text_of_the_standard(reason, texts):
    for text in texts:
        assert judged(text) and not accepted(text), reason


@pytest.mark.parametrize(("reason", "texts"), LENIENT.items(), ids=list(LENIENT))
def test_more_lenient_by_the_text_of_the_standard(reason, texts):
    for text in texts:
        assert accepted(text) and not judged(text), reason


OPERATORS = {"GreaterThan": operator.gt, "GreaterEqual": operator.ge, "LessThan": operator.lt,
             "LessEqual": operator.le, "Equal": operator.eq, "NotEqual": operator.ne}


def linear(expression, values: dict[str, np.ndarray]) -> float:
    """The judge's linear form at a point; dyadic numbers of few digits, so floats are exact."""
    form = expression.to_linear_expr()
    return form.constant + sum(term.coeff * values[term.var.name][tuple(term.var.indices)] for term in form.terms)


def holds(parsed, values: dict[str, np.ndarray]) -> bool:
    """The conjunction of the assertions by the judge's normal forms."""
    return all(any(all(OPERATORS[type(c).__name__](linear(c.lhs, values), linear(c.rhs, values)) for c in clause)
                   for clause in assertion.expr.to_dnf()) for assertion in parsed.assertions)


def random_term(rng: random.Random, depth: int = 2) -> str:
    leaf = rng.choice(["X[0,0]", "X[0,1]", "U[0,0]", "Y[0,0]", "Y[0,1]", "V[0,1]", "0.5", "-1.0", "0.25", "2.0"])
    if depth == 0 or rng.random() < 0.5:
        return leaf
    if rng.random() < 0.3:
        return f"(* {rng.choice(['0.5', '-2.0', '0.0'])} {random_term(rng, depth - 1)})"
    return f"({rng.choice('+-')} {' '.join(random_term(rng, depth - 1) for _ in range(rng.randint(1, 3)))})"


def random_formula(rng: random.Random, depth: int) -> str:
    if depth == 0 or rng.random() < 0.3:
        return f"({rng.choice(['<', '<=', '>', '>=', '==', '!='])} {random_term(rng)} {random_term(rng)})"
    parts = " ".join(random_formula(rng, depth - 1) for _ in range(rng.randint(1, 3)))
    return f"({rng.choice(['and', 'or'])} {parts})"


def flat_point(spec: Spec, values: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray] | None:
    """The point as X and Y; None where inputs differ that the property says are equal (then it is not met)."""
    found = {"X": np.empty(len(spec.interface.wiring)), "Y": np.empty(spec.outputs)}
    for name, (kind, begin, end) in spec.interface.spans.items():
        found[kind][begin:end] = values[name].reshape(-1)
    x = np.full(spec.inputs, np.nan)
    for declared_entry, k in enumerate(spec.interface.wiring):
        if not np.isnan(x[k]) and x[k] != found["X"][declared_entry]:
            return None
        x[k] = found["X"][declared_entry]
    return x, found["Y"]


@pytest.mark.parametrize("seed", range(40))
def test_meanings_agree(seed):
    """Whether points are unsafe: by the judge's disjunctive normal forms, and by ours with all that we derive (shared
    inputs, sharper boxes, rows left out)."""
    rng = random.Random(seed)
    body = "".join(f"(assert {random_formula(rng, 2)})\n" for _ in range(rng.randint(1, 2)))
    text = query(body, PAIR, box() + box("U"))
    parsed = vnnlib.parse_query_string(text)
    try:
        spec = parse_spec(text)
    except InvalidInput as error:
        assert "contradict" in str(error)
        spec = None
    grid = [-1.0, -0.5, 0.0, 0.25, 0.5, 1.0, 1.5]
    for _ in range(100):
        values = {name: np.array([[rng.choice(grid) for _ in range(2)]]) for name in "XYUV"}
        flat = None if spec is None else flat_point(spec, values)
        assert (flat is not None and spec.unsafe(*flat)) == holds(parsed, values), (text, values)


def test_what_real_files_contain():
    """Two networks, equal inputs but one, an `or` of strict comparisons: like the pairs of the competition."""
    text = query("(assert (== X[0,1] U[0,1]))(assert (<= X[0,0] U[0,0]))"
                 "(assert (or (> Y[0,0] (+ V[0,0] 0.05)) (< Y[0,0] (- V[0,0] 0.05))))", PAIR, box() + box("U"))
    spec = parse_spec(text)
    assert judged(text) and spec.inputs == 3 and spec.interface.wiring == (0, 1, 2, 1)
    assert [len(disjunct) for disjunct in spec.cases[0].disjuncts] == [2, 2]
