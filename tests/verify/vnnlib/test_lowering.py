"""The lowered `Spec` means what the text says: hand-made traps, and random formulas against direct evaluation."""

import operator
import random
import re
from fractions import Fraction

import numpy as np
import pytest

from verify.errors import InvalidInput, UnsupportedSpec
from verify.query import Spec
from verify.vnnlib import parse_spec

OPERATORS = {"<=": operator.le, "<": operator.lt, ">=": operator.ge, ">": operator.gt, "=": operator.eq,
             "==": operator.eq}


def declare(inputs: int, outputs: int) -> str:
    names = [f"X_{i}" for i in range(inputs)] + [f"Y_{i}" for i in range(outputs)]
    return "".join(f"(declare-const {name} Real)\n" for name in names)


def spec(body: str, inputs: int = 1, outputs: int = 2, box: bool = True) -> Spec:
    limits = "".join(f"(assert (>= X_{i} -1))(assert (<= X_{i} 1))\n" for i in range(inputs)) if box else ""
    return parse_spec(declare(inputs, outputs) + limits + body, "test.vnnlib")


def unsafe(s: Spec, x, y) -> bool:
    return s.unsafe(np.array(x, dtype=np.float64), np.array(y, dtype=np.float64))


def direct_asserts(text: str) -> list:
    """Independent reader: nested lists of words."""
    words = re.findall(r"[()]|[^\s()]+", re.sub(r";[^\n]*", "", text))
    stack: list[list] = [[]]
    for word in words:
        if word == "(":
            stack.append([])
        elif word == ")":
            done = stack.pop()
            stack[-1].append(done)
        else:
            stack[-1].append(word)
    return [item[1] for item in stack[0] if item[0] == "assert"]


def direct(e, x, y):
    """Independent evaluation of an expression: a bool for formulas, a Fraction for terms."""
    if isinstance(e, str):
        if e[0] in "XY":
            return Fraction(float((x if e[0] == "X" else y)[int(e[2:])]))
        return Fraction(e)
    head, args = e[0], [direct(arg, x, y) for arg in e[1:]]
    if head in OPERATORS:
        return OPERATORS[head](*args)
    if head == "and":
        return all(args)
    if head == "or":
        return any(args)
    if head == "+":
        return sum(args)
    if head == "-":
        return -args[0] if len(args) == 1 else args[0] - sum(args[1:])
    return np.prod(np.array(args, dtype=object))


def random_term(rng: random.Random) -> str:
    choice = rng.random()
    variable = rng.choice(["X_0", "X_1", "Y_0", "Y_1"])
    number = rng.choice(["0", "0.5", "-1", "2.5e-1", "1E0", "+.5", "-0.0"])
    if choice < 0.45:
        return variable
    if choice < 0.7:
        return number
    if choice < 0.8:
        return f"(* {number} {random_term(rng)})"
    if choice < 0.85:
        return f"(* {random_term(rng)} {number} 2)"
    op = rng.choice("+-")
    return f"({op} {' '.join(random_term(rng) for _ in range(rng.randint(1, 3)))})"


def random_formula(rng: random.Random, depth: int) -> str:
    if depth == 0 or rng.random() < 0.3:
        return f"({rng.choice(list(OPERATORS))} {random_term(rng)} {random_term(rng)})"
    parts = " ".join(random_formula(rng, depth - 1) for _ in range(rng.randint(1, 3)))
    return f"({rng.choice(['and', 'or'])} {parts})"


@pytest.mark.parametrize("seed", range(60))
def test_random_formulas_mean_what_they_say(seed):
    rng = random.Random(seed)
    text = "".join(f"(assert {random_formula(rng, 3)})\n" for _ in range(rng.randint(1, 2)))
    lowered = spec(text, inputs=2)
    limits = [["<=", "X_0", "1"], [">=", "X_0", "-1"], ["<=", "X_1", "1"], [">=", "X_1", "-1"]]
    asserts = direct_asserts(text) + limits
    grid = [-1.5, -1.0, -0.5, 0.0, 0.25, 0.5, 1.0]
    for _ in range(150):
        x, y = [rng.choice(grid) for _ in range(2)], [rng.choice(grid) for _ in range(2)]
        assert unsafe(lowered, x, y) == all(direct(e, x, y) for e in asserts), (text, x, y)


def test_plain_asserts_after_an_or_belong_to_every_disjunct():
    s = spec("(assert (or (and (<= Y_0 0)) (and (>= Y_0 5))))(assert (<= Y_1 0.5))")
    assert len(s.cases) == 1 and [len(d) for d in s.cases[0].disjuncts] == [2, 2]
    assert unsafe(s, [0], [-1, 0.5]) and unsafe(s, [0], [6, 0])
    assert not unsafe(s, [0], [-1, 1]) and not unsafe(s, [0], [1, 0])


def test_several_ors_are_multiplied_out():
    s = spec("(assert (or (<= Y_0 0) (>= Y_0 1)))(assert (or (<= Y_1 0) (>= Y_1 1)))")
    assert len(s.cases[0].disjuncts) == 4
    assert unsafe(s, [0], [0, 1]) and not unsafe(s, [0], [0, 0.5])


def test_boxes_inside_or_stay_a_union():
    boxes = "(and (>= X_0 -1) (<= X_0 -0.5)) (and (>= X_0 0.5) (<= X_0 1))"
    s = spec(f"(assert (or {boxes}))(assert (<= Y_0 0))", box=False)
    assert len(s.cases) == 2
    assert unsafe(s, [-0.7], [0, 0]) and unsafe(s, [0.7], [0, 0]) and not unsafe(s, [0], [0, 0])


def test_boxes_keep_their_own_thresholds():
    parts = [f"(and (>= X_0 {k}) (<= X_0 {k}.5) (<= Y_0 {10 * k}))" for k in range(3)]
    s = spec(f"(assert (or {' '.join(parts)}))", box=False)
    assert [case.box.lower[0] for case in s.cases] == [0, 1, 2]
    assert [case.box.upper[0] for case in s.cases] == [0.5, 1.5, 2.5]
    assert unsafe(s, [2.5], [20, 0]) and unsafe(s, [1], [10, 0])
    assert not unsafe(s, [0.5], [10, 0]) and not unsafe(s, [2.6], [0, 0])


def test_equal_boxes_merge_their_disjuncts():
    s = spec("(assert (or (and (<= X_0 0.50) (<= Y_0 0)) (and (<= X_0 5e-1) (<= Y_1 0)) (and (<= X_0 2) (<= Y_0 -1))))")
    assert [len(case.disjuncts) for case in s.cases] == [2, 1]
    assert [case.box.upper[0] for case in s.cases] == [0.5, 1.0]


def test_the_tightest_limit_counts_in_any_order():
    for body in ("(assert (<= X_0 0.5))(assert (<= X_0 0.75))", "(assert (<= X_0 0.75))(assert (<= X_0 0.5))"):
        assert spec(body).cases[0].box.upper[0] == 0.5


def test_limits_in_other_forms():
    s = spec("(assert (<= (* 2 X_0) 1))(assert (<= -0.5 X_0))(assert (>= (- X_0) -0.25))")
    box = s.cases[0].box
    assert (box.lower[0], box.upper[0]) == (-0.5, 0.25)


def test_strict_input_limit_closes_the_box_but_not_the_witness():
    s = spec("(assert (< X_0 0.5))(assert (<= Y_0 0))")
    assert s.cases[0].box.upper[0] == 0.5
    assert unsafe(s, [0.4999], [0, 0]) and not unsafe(s, [0.5], [0, 0])


def test_strict_and_non_strict_at_exactly_zero():
    assert unsafe(spec("(assert (<= Y_0 0))"), [0], [0, 0])
    assert not unsafe(spec("(assert (< Y_0 0))"), [0], [0, 0])
    assert unsafe(spec("(assert (>= Y_0 Y_1))"), [0], [0.1, 0.1])
    assert not unsafe(spec("(assert (> Y_0 Y_1))"), [0], [0.1, 0.1])


def test_fixed_input():
    box = spec("(assert (= X_0 0.1))").cases[0].box
    assert box.lower[0] < box.upper[0] and Fraction(box.lower[0]) < Fraction("0.1") < Fraction(box.upper[0])
    assert box.inner_lower[0] > box.inner_upper[0]  # 0.1 is no float, so no float point is inside
    assert spec("(assert (== X_0 0.5))").cases[0].box.lower[0] == 0.5


def test_decimal_limits_are_rounded_outward_and_inward():
    box = spec("(assert (<= X_0 0.1))(assert (>= X_0 -0.1))").cases[0].box
    tenth = Fraction("0.1")
    assert Fraction(box.upper[0]) >= tenth >= Fraction(box.inner_upper[0]) and box.upper[0] != box.inner_upper[0]
    assert Fraction(box.lower[0]) <= -tenth <= Fraction(box.inner_lower[0])


def test_empty_box_is_reported_not_refused():
    s = spec("(assert (>= X_0 0.5))(assert (<= X_0 0.25))")
    assert s.cases[0].box.empty == 0
    assert spec("").cases[0].box.empty is None


def test_mixed_and_many_input_constraints_are_rows_of_every_disjunct():
    s = spec("(assert (<= (+ X_0 X_1) Y_0))(assert (<= X_0 X_1))(assert (or (<= Y_0 0) (<= Y_1 0)))", inputs=2)
    assert [len(d) for d in s.cases[0].disjuncts] == [3, 3]
    row = s.cases[0].disjuncts[0][0]
    assert row.x == ((0, 1), (1, 1)) and row.y == ((0, -1),) and row.constant == 0


def test_terms_cancel_exactly():
    row = spec("(assert (<= (+ (* 0.1 Y_0) (* Y_0 0.2) (- (* 0.3 Y_0)) Y_1 0.1) 0.3))").cases[0].disjuncts[0][0]
    assert row.y == ((1, 1),) and row.constant == Fraction(-1, 5)


def test_constant_conditions():
    assert spec("(assert (<= 0 1))").cases[0].disjuncts == ((),)
    never = spec("(assert (or (<= 1 0) (<= Y_0 0)))")
    assert not unsafe(never, [0], [1, 1]) and unsafe(never, [0], [0, 1])


def test_no_output_condition_means_the_whole_box_is_unsafe():
    assert unsafe(spec(""), [0.5], [7, 7]) and not unsafe(spec(""), [1.5], [7, 7])


@pytest.mark.parametrize(("body", "message", "error"), [
    ("\n(assert (<= Y_2 0))", "test.vnnlib:5: Y_2 is not declared (declared: Y_0 to Y_1)", InvalidInput),
    ("(assert (<= X_1 0))", "X_1 is not declared", InvalidInput),
    ("(assert (<= (* Y_0 Y_1) 0))", "test.vnnlib:4: a product of variables", UnsupportedSpec),
    ("(assert (<= (* X_0 (+ Y_1 1)) 0))", "product of variables", UnsupportedSpec),
    ("(assert (<= (* 1e300 1e300 Y_0) 0))", "does not fit into float64", InvalidInput),
    ("(assert (<= (* 1e-300 X_0) 1e300))", "test.vnnlib:4: a coefficient or limit", InvalidInput),
])
def test_errors_name_file_and_line(body, message, error):
    text = declare(1, 2) + body
    with pytest.raises(error) as caught:
        parse_spec(text, "test.vnnlib")
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("body", "message"), [
    ("(assert (<= X_0 1))", "test.vnnlib:1: X_0 has no lower bound"),
    ("(assert (>= X_0 1))", "test.vnnlib:1: X_0 has no upper bound"),
    ("(assert (<= X_0 Y_0))", "X_0 has no lower bound"),
    ("(assert (>= X_0 0))(assert (or (<= X_0 1) (<= Y_0 1)))", "X_0 has no upper bound"),
])
def test_unbounded_inputs(body, message):
    with pytest.raises(InvalidInput, match=re.escape(message)):
        spec(body, box=False)


def test_declarations_must_be_complete():
    with pytest.raises(InvalidInput, match="no inputs"):
        parse_spec("(declare-const Y_0 Real)")
    with pytest.raises(InvalidInput, match="no outputs"):
        parse_spec("(declare-const X_0 Real)")
    with pytest.raises(InvalidInput, match=":2: X_2 is declared but X_1 is not"):
        parse_spec("(declare-const X_0 Real)\n(declare-const X_2 Real)(declare-const Y_0 Real)")


def test_exploding_normal_form_is_refused_before_it_is_built():
    choice = "(assert (or (<= Y_0 0) (<= Y_1 0) (<= Y_0 1)))\n"
    with pytest.raises(UnsupportedSpec, match="1,000,000 conjunctions"):
        spec(choice * 2000)


def test_many_cases():
    parts = " ".join(f"(and (>= X_0 {k}) (<= X_0 {k + 1}) (<= Y_0 {k}))" for k in range(500))
    s = spec(f"(assert (or {parts}))", box=False)
    assert len(s.cases) == 500 and unsafe(s, [499.5], [499, 0]) and not unsafe(s, [498.5], [499, 0])
