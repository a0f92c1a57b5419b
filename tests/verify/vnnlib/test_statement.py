"""Shared inputs, sharper boxes and rows left out do not change what is unsafe."""

from fractions import Fraction

import numpy as np

from tests.verify.vnnlib.v2.texts import box, network, query
from verify.vnnlib import parse_spec

PAIR = network() + network("g", "U", "V")


def test_equal_inputs_become_one():
    spec = parse_spec(query("(assert (== U[0,0] X[0,0]))(assert (== (- X[0,1] U[0,1]) 0.0))(assert (> Y[0,0] V[0,0]))",
                            PAIR, box()))
    assert spec.inputs == 2 and spec.interface.wiring == (0, 1, 0, 1)
    ((h,),) = spec.cases[0].disjuncts
    assert h.x == () and h.strict
    assert spec.name("X", 1) == "X[0,1]"


def test_an_equality_in_one_branch_shares_nothing():
    spec = parse_spec(query("(assert (or (== U[0,0] X[0,0]) (<= Y[0,0] 0.0)))", PAIR, box() + box("U")))
    assert spec.inputs == 4 and not spec.interface.shared


def test_equality_up_to_a_constant_bounds_the_other_input():
    spec = parse_spec(query("(assert (== U[0,0] (+ X[0,0] 0.5)))(assert (== U[0,1] (* 2.0 X[0,1])))", PAIR, box()))
    (case,) = spec.cases
    assert case.box.lower.tolist() == [-1, -1, -0.5, -2] and case.box.upper.tolist() == [1, 1, 1.5, 2]
    assert len(case.disjuncts[0]) == 4


def test_polynomials_read_monomials_behind_the_outputs():
    spec = parse_spec(query("(assert (>= (* X[0,0] Y[0,1] Y[0,1]) (+ (* X[0,0] 2.0) (* Y[0,1] X[0,0] Y[0,1]) Y[0,0])))"
                            "(assert (!= (* X[0,0] X[0,1]) 0.25))"))
    assert spec.monomials == ((("x", 0), ("x", 1)),)
    assert [len(disjunct) for disjunct in spec.cases[0].disjuncts] == [2, 2]
    x, y = np.array([0.5, 0.5]), np.array([-1.0, 7.0])
    assert spec.extended(x, y)[-1] == Fraction(1, 4) and not spec.unsafe(x, y)
    assert spec.unsafe(np.array([0.5, 0.25]), y) and not spec.unsafe(np.array([0.5, 0.25]), -y)


def test_strict_comparisons_and_inequalities_at_the_border():
    def unsafe(condition, y):
        return parse_spec(query(f"(assert {condition})")).unsafe(np.zeros(2), np.array([y, 0.5]))

    above = np.nextafter(0.5, 1)
    for condition, at, over, under in (("<", False, False, True), ("<=", True, False, True), (">", False, True, False),
                                       (">=", True, True, False), ("==", True, False, False),
                                       ("!=", False, True, True)):
        text = f"({condition} Y[0,0] Y[0,1])"
        assert [unsafe(text, v) for v in (0.5, above, np.nextafter(0.5, 0))] == [at, over, under], condition
