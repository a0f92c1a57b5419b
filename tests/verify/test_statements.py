"""Statements in Python give the `Spec` of the VNN-LIB 2.0 text of the same meaning, and mistakes are told by name."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

from tests.verify.vnnlib.v2.models import absolute
from tests.verify.vnnlib.v2.texts import HEADER, box, network, query, tensor
from verify import network as declare
from verify import spec as state
from verify.api import verify
from verify.errors import InvalidInput, UnsupportedSpec
from verify.query import Spec
from verify.result import Verdict
from verify.vnnlib import parse_spec

F = declare("f", {"X": (1, 2)}, {"Y": (1, 2)})
G = declare("g", {"U": (1, 2)}, {"V": (1, 2)}, equal_to="f")
X, Y, U, V = F["X"], F["Y"], G["U"], G["V"]
UNIT = (X >= -1.0) & (X <= 1.0)
PAIR = network() + network("g", "U", "V", "(equal-to f)")


def same(one: Spec, other: Spec) -> bool:
    boxes = [[(c.box.lower.tolist(), c.box.upper.tolist(), c.box.inner_lower.tolist(), c.box.inner_upper.tolist())
              for c in s.cases] for s in (one, other)]
    rows = [[c.disjuncts for c in s.cases] for s in (one, other)]
    return (boxes[0] == boxes[1] and rows[0] == rows[1] and one.monomials == other.monomials
            and one.interface.networks == other.interface.networks and one.interface.wiring == other.interface.wiring)


@pytest.mark.parametrize(("made", "condition"), [
    (Y[0, 0] <= Y[0, 1], "(<= Y[0,0] Y[0,1])"), (Y[0, 0] > 0.5, "(> Y[0,0] 0.5)"), (0.5 < Y[0, 0], "(> Y[0,0] 0.5)"),  # noqa: SIM300 -- the reflected comparison is what is tested
    (Y[0, 0] == 0.25, "(== Y[0,0] 0.25)"), (Y[0, 0] != Y[0, 1], "(!= Y[0,0] Y[0,1])"),
    (Y != X, "(or (!= Y[0,0] X[0,0]) (!= Y[0,1] X[0,1]))"), (Y <= 2 * X + 1, "(and (<= Y[0,0] (+ (* 2.0 X[0,0]) 1.0)) "
                                                            "(<= Y[0,1] (+ (* 2.0 X[0,1]) 1.0)))"),
    ((Y[0, 0] < 0) | (Y[0, 1] < 0) & (X[0, 0] > 0.5), "(or (< Y[0,0] 0.0) (and (< Y[0,1] 0.0) (> X[0,0] 0.5)))"),
    (~((Y[0, 0] < 0) | (Y[0, 1] == 0.5)), "(and (>= Y[0,0] 0.0) (!= Y[0,1] 0.5))"),
    (Y[0, 0] ** 2 * X[0, 1] - Y[0, 1] <= -X[0, 0], "(<= (- (* Y[0,0] Y[0,0] X[0,1]) Y[0,1]) (- X[0,0]))"),
    (Y.sum() >= Decimal("0.1"), "(>= (+ Y[0,0] Y[0,1]) 0.1)"), (3 - Y[0, 0] >= 1, "(>= (- 3.0 Y[0,0]) 1.0)"),
    (np.array([2.0, -1.0]) * Y[0] <= X[0], "(and (<= (* 2.0 Y[0,0]) X[0,0]) (<= (* -1.0 Y[0,1]) X[0,1]))"),
    (torch.tensor([0.5]) + Y[0, 0] <= 0, "(<= (+ Y[0,0] 0.5) 0.0)"),
    (Y[:, ::-1] <= X, "(and (<= Y[0,1] X[0,0]) (<= Y[0,0] X[0,1]))"),
])
def test_conditions(made, condition):
    assert same(state([F], UNIT, made), parse_spec(query(f"(assert {condition})")))


def test_pairs_and_hidden_values():
    text = query("(assert (== X[0,0] U[0,0]))(assert (<= X[0,1] U[0,1]))(assert (> Y[0,0] V[0,0]))", PAIR,
                 box() + box("U"))
    made = state([F, G], UNIT, (U >= -1) & (U <= 1), X[0, 0] == U[0, 0], X[0, 1] <= U[0, 1], Y[0, 0] > V[0, 0])
    assert same(made, parse_spec(text)) and made.inputs == 3
    declared = declare("f", {"X": (1, 2), "B": ()}, {"Y": (1, 2)}, {"H": ("h", (3,))}, dtype="float32")
    h = tensor("hidden", "H", "[3]", "float32", '"h"')
    text = f"(declare-network f {tensor('input', 'X', dtype='float32')} {tensor('input', 'B', '[]', 'float32')} {h} " \
           f"{tensor('output', 'Y', dtype='float32')})"
    body = box() + "(assert (and (>= B 0.0) (<= B 1.0)))(assert (>= H[2] B))"
    made = state([declared], (declared["X"] >= -1) & (declared["X"] <= 1),
                 (declared["B"] >= 0) & (declared["B"] <= 1), declared["H"][2] >= declared["B"])
    assert same(made, parse_spec(HEADER + text + body)) and made.interface.semantics == "float32"


def test_numbers_are_what_they_are():
    def limit(number):
        (h,) = state([F], UNIT, Y[0, 0] <= number).cases[0].disjuncts[0]
        return -h.constant

    assert limit(0.1) == Fraction(0.1) != limit(Decimal("0.1")) == limit(Fraction(1, 10)) == Fraction(1, 10)
    assert limit(np.float32(0.1)) == Fraction(float(np.float32(0.1))) and limit(np.int64(3)) == limit(3) == 3


@pytest.mark.parametrize(("make", "message"), [
    (lambda: state([F], UNIT, Y[0, 0] <= V[0, 0]), "a condition reads V of network g, which is not among"),
    (lambda: F["Z"], "network f has no tensor 'Z'; it has X, Y"), (lambda: Y[0, 2], "Y of shape [1, 2]: index 2"),
    (lambda: bool(Y[0, 0] <= 1), "a condition on networks has no truth value"),
    (lambda: -1 <= Y[0, 0] <= 1, "write & | ~ for and, or, not"), (lambda: UNIT & True, "& and | combine conditions"),
    (lambda: np.inf >= Y, "must be finite"), (lambda: Y <= "1", "a condition combines tensors and numbers"),
    (lambda: Y + np.zeros(3), "do not broadcast"), (lambda: Y**-1, "an exponent is a positive integer"),
    (lambda: state([F]), "nothing is asserted"),
    (lambda: state([F], Y[0, 0] <= 0), "python: X[0,0] has no lower bound"),
    (lambda: state([F, declare("f", {"U": (1,)}, {"V": (1,)})], UNIT), "python: network f is declared twice"),
    (lambda: state([F, declare("g", {"X": (1,)}, {"V": (1,)})], UNIT), "python: X is declared twice"),
    (lambda: state([G], (U >= 0) & (U <= 1)), "g is equal-to f, which is not declared before it"),
    (lambda: declare("f", {}, {"Y": (1,)}), "needs at least one input"),
    (lambda: declare("f", {"X": (0,)}, {"Y": (1,)}), "X has shape [0]; sizes are positive"),
    (lambda: declare("g", {"X": (1,)}, {"Y": (1,)}, equal_to="f", isomorphic_to="f"), "not both"),
    (lambda: state([F], UNIT, X[0, 0] >= 2), "contradict each other: no value is left for X[0,0]"),
])
def test_mistakes(make, message):
    with pytest.raises(InvalidInput) as caught:
        make()
    assert message in str(caught.value)


def test_types_that_are_not_supported():
    with pytest.raises(UnsupportedSpec, match="unknown type 'double'"):
        state([declare("f", {"A": (1,)}, {"B": (1,)}, dtype="double")])
    with pytest.raises(InvalidInput, match="has no truth value"):
        assert X == U


def test_from_statement_to_verdict():
    """y = (|x0|, x0): the absolute value is even, the other output monotone."""
    even = state([F, G], UNIT, U[0, 0] == -X[0, 0], U[0, 1] == X[0, 1], Y[0, 0] > V[0, 0] + 0.01)
    assert verify(absolute(), even, timeout=30).verdict is Verdict.VERIFIED
    near = state([F, G], UNIT, (U >= -1) & (U <= 1), U[0, 0] <= X[0, 0] - 0.1, Y[0, 1] < V[0, 1])
    assert verify(absolute(), near, timeout=30).verdict is Verdict.VERIFIED
    found = verify(absolute(), state([F], UNIT, Y[0, 0] * Y[0, 0] >= 1), timeout=30)
    assert found.verdict is Verdict.FALSIFIED and abs(found.witness.x[0]) == 1
