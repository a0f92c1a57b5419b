"""The reading of properties: by hand, against direct evaluation, against the prover's reading, and malformed texts."""

import gzip
import math
import operator
import random
import re
from fractions import Fraction
from pathlib import Path

import pytest

from verify.certificate.checker.errors import Rejected
from verify.certificate.checker.spec import MAX_DEPTH, Case, Property, Row, enclose, read_spec
from verify.query import Spec
from verify.vnnlib import parse_spec

BENCH = Path(__file__).parents[5] / "shared" / "bench"
F = Fraction
NON_STRICT = {"<=": operator.le, "<": operator.le, ">=": operator.ge, ">": operator.ge, "=": operator.eq,
              "==": operator.eq}


def declare(inputs: int, outputs: int) -> str:
    names = [f"X_{i}" for i in range(inputs)] + [f"Y_{i}" for i in range(outputs)]
    return "".join(f"(declare-const {name} Real)\n" for name in names)


def boxed(body: str, inputs: int = 1, outputs: int = 2) -> str:
    limits = "".join(f"(assert (>= X_{i} -1))(assert (<= X_{i} 1))\n" for i in range(inputs))
    return declare(inputs, outputs) + limits + body


def normal(row: Row) -> tuple:
    """A row up to a positive factor: the first coefficient has magnitude 1."""
    numbers = [c for _, c in (*row.y, *row.x)] or [row.constant]
    scale = abs(numbers[0]) or F(1)
    return tuple((k, c / scale) for k, c in row.y), tuple((k, c / scale) for k, c in row.x), row.constant / scale


def disjuncts(case: Case) -> frozenset:
    return frozenset(frozenset(map(normal, rows)) for rows in case.disjuncts)


def prover_rows(rows) -> frozenset:
    """The prover's conjunction as the checker reads it: without strictness, limits only in the box."""
    return frozenset(normal(Row(h.y, h.x, h.constant)) for h in rows
                     if (h.y or len(h.x) != 1) and (h.y or h.x or h.constant > 0))


def assert_same_reading(text: str, where: str = "") -> tuple[Property, Spec]:
    mine, theirs = read_spec(text), parse_spec(text)
    assert (mine.inputs, mine.outputs) == (theirs.inputs, theirs.outputs)
    boxes = [(tuple(map(enclose, case.lower)), tuple(map(enclose, case.upper))) for case in mine.cases]
    other = [(tuple(zip(case.box.lower, case.box.inner_lower, strict=True)),
              tuple(zip(case.box.inner_upper, case.box.upper, strict=True))) for case in theirs.cases]
    assert boxes == other, where
    for one, two in zip(mine.cases, theirs.cases, strict=True):
        assert disjuncts(one) == frozenset(map(prover_rows, two.disjuncts)), where
        if len(one.disjuncts) == len(two.disjuncts):
            assert [frozenset(map(normal, rows)) for rows in one.disjuncts] == list(map(prover_rows, two.disjuncts))
    return mine, theirs


def unsafe(problem: Property, x: list[Fraction], y: list[Fraction]) -> bool:
    def value(row: Row) -> Fraction:
        return row.constant + sum(c * x[k] for k, c in row.x) + sum(c * y[k] for k, c in row.y)

    return any(all(low <= v <= high for low, v, high in zip(case.lower, x, case.upper, strict=True))
               and any(all(value(row) <= 0 for row in rows) for rows in case.disjuncts) for case in problem.cases)


def direct_asserts(text: str) -> list:
    """Independent reader: nested lists of words."""
    stack: list[list] = [[]]
    for word in re.findall(r"[()]|[^\s()]+", text):
        if word == "(":
            stack.append([])
        elif word == ")":
            done = stack.pop()
            stack[-1].append(done)
        else:
            stack[-1].append(word)
    return [item[1] for item in stack[0] if item[0] == "assert"]


def direct(e, x, y):
    """Independent evaluation: a bool for formulas (strict comparisons closed), a Fraction for terms."""
    if isinstance(e, str):
        return (x if e[0] == "X" else y)[int(e[2:])] if e[0] in "XY" else Fraction(e)
    head, args = e[0], [direct(arg, x, y) for arg in e[1:]]
    if head in NON_STRICT:
        return NON_STRICT[head](*args)
    if head in ("and", "or"):
        return (all if head == "and" else any)(args)
    if head == "+":
        return sum(args)
    if head == "-":
        return -args[0] if len(args) == 1 else args[0] - sum(args[1:])
    return math.prod(args)


def random_term(rng: random.Random) -> str:
    choice = rng.random()
    number = rng.choice(["0", "0.5", "-1", "2.5e-1", "1E0", "+.5", "-0.0", "3."])
    if choice < 0.45:
        return rng.choice(["X_0", "X_1", "Y_0", "Y_1"])
    if choice < 0.7:
        return number
    if choice < 0.85:
        return f"(* {number} {random_term(rng)} 2)"
    return f"({rng.choice('+-')} {' '.join(random_term(rng) for _ in range(rng.randint(1, 3)))})"


def random_formula(rng: random.Random, depth: int) -> str:
    if depth == 0 or rng.random() < 0.3:
        return f"({rng.choice(list(NON_STRICT))} {random_term(rng)} {random_term(rng)})"
    parts = " ".join(random_formula(rng, depth - 1) for _ in range(rng.randint(1, 3)))
    return f"({rng.choice(['and', 'or'])} {parts})"


@pytest.mark.parametrize("seed", range(80))
def test_random_formulas_mean_what_they_say_and_what_the_prover_reads(seed):
    rng = random.Random(seed)
    text = "".join(f"(assert {random_formula(rng, 3)})\n" for _ in range(rng.randint(1, 2)))
    problem, _ = assert_same_reading(boxed(text, inputs=2))
    asserts = direct_asserts(boxed(text, inputs=2))
    grid = [F(v) for v in (-1.5, -1, -0.5, 0, 0.25, 0.5, 1)]
    for _ in range(100):
        x, y = [rng.choice(grid) for _ in range(2)], [rng.choice(grid) for _ in range(2)]
        assert unsafe(problem, x, y) == all(direct(e, x, y) for e in asserts), (text, x, y)


def test_a_property_by_hand():
    text = """; a comment (with a parenthesis
        (vnnlib-version <1.0>) (set-info :source "a ) (assert (<= 1 0)")
        (declare-const X_0 Real) (declare-const X_1 Real) (declare-const Y_0 Real) (declare-const Y_1 Real)
        (assert (<= X_0 0.1)) (assert (>= X_0 -1e-1)) (assert (<= (* 2 X_1) 3)) (assert (< 0.5 X_1))
        (assert (or (and (>= Y_0 Y_1) (<= Y_0 (+ (* 0.5 X_0) 2))) (<= Y_1 -3)))
        (check-sat)"""
    both = (Row(((0, F(-1)), (1, F(1))), (), F(0)), Row(((0, F(1)),), ((0, F(-1, 2)),), F(-2)))
    assert read_spec(text) == Property(2, 2, (Case(
        (F(-1, 10), F(1, 2)), (F(1, 10), F(3, 2)), (both, (Row(((1, F(1)),), (), F(3)),))),))
    assert read_spec(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()) == read_spec(text)


def test_order_of_cases_and_disjuncts():
    text = declare(1, 1) + """(assert (or (and (<= X_0 1) (<= Y_0 1)) (and (<= X_0 2) (<= Y_0 2))))
        (assert (>= X_0 0)) (assert (or (<= Y_0 3) (<= X_0 1)))"""
    problem, _ = assert_same_reading(text)
    assert [(case.upper, [[-row.constant for row in rows] for rows in case.disjuncts]) for case in problem.cases] == [
        ((1,), [[1, 3], [1], [2]]), ((2,), [[2, 3]])]


def test_equal_boxes_rows_and_conjunctions_count_once():
    problem, _ = assert_same_reading(boxed(
        "(assert (or (and (<= X_0 0.50) (<= Y_0 0)) (and (<= X_0 5e-1) (<= Y_0 0) (<= Y_0 0))"
        "(and (<= X_0 2) (<= Y_0 1)) (and (<= X_0 0.5) (<= X_0 0.7) (<= Y_1 0))))"))
    assert [(case.upper, [len(rows) for rows in case.disjuncts]) for case in problem.cases] == [
        ((F(1, 2),), [1, 1]), ((1,), [1])]


def test_rows_of_plain_asserts_belong_to_every_disjunct():
    body = "(assert (or (<= Y_0 0) (>= Y_0 5)))(assert (and (<= Y_1 0.5) (= X_0 Y_0)))"
    problem, _ = assert_same_reading(boxed(body))
    assert [len(rows) for rows in problem.cases[0].disjuncts] == [4, 4]
    assert problem.cases[0].disjuncts[0][0] == Row(((1, F(1)),), (), F(-1, 2))


@pytest.mark.parametrize(("body", "expected"), [
    ("", ((),)),
    ("(assert (<= 0 1))(assert (< 0 0))", ((),)),
    ("(assert (<= 1 0))", ((Row((), (), F(1)),),)),
    ("(assert (<= (- Y_0 Y_0) 0))", ((),)),
    ("(assert (<= (* 0 Y_0 Y_1) 0))", None),
    ("(assert (<= (* (- Y_0 Y_0) Y_1) 1))", ((),)),
])
def test_constant_conditions(body, expected):
    if expected is None:
        with pytest.raises(Rejected, match="product of variables"):
            read_spec(boxed(body))
    else:
        assert read_spec(boxed(body)).cases[0].disjuncts == expected


def test_crossed_limits_are_kept():
    case, = read_spec(boxed("(assert (>= X_0 2))")).cases
    assert (case.lower, case.upper) == ((2,), (1,))


def test_a_strict_limit_closes_the_box():
    problem, _ = assert_same_reading(boxed("(assert (< X_0 0.5))(assert (< Y_0 Y_1))"))
    assert problem.cases[0].upper == (F(1, 2),)
    assert problem.cases[0].disjuncts == ((Row(((0, F(1)), (1, F(-1))), (), F(0)),),)


@pytest.mark.parametrize(("body", "message"), [
    ("(assert (<= X_0 1)", "line 6: the parenthesis opened here is never closed"),
    ("(assert (<= X_0 1)))", "line 6: ')' outside a statement"),
    ("(assert (<= Y_2 0))", "line 6: 'Y_2' is neither a number nor a variable"),
    ("(assert (<= X_1 0))", "'X_1' is neither"),
    ("(assert (and\n (<= Y_0\n (* Y_0\n Y_1))))", "line 6: a product of variables"),
    ("(assert (<= (* X_0 (+ Y_1 1)) 0))", "a product of variables"),
    ("(assert (<= X_0 inf))", "line 6: 'inf' is neither"),
    ("(assert (<= X_0 nan))", "'nan' is neither"),
    ("(assert (<= Z_0 1))", "'Z_0' is neither"),
    ("(assert (<= X_01 1))", "'X_01' is neither"),
    ("(assert (<= X_0 1e99999))", "is neither a number"),
    ("(assert (<= X_0 1_0))", "is neither a number"),
    ("(assert (<= X_0 1/2))", "is neither a number"),
    ("(assert (<= X_0 \u0661))", "is neither a number"),
    (f"(assert (<= X_0 {'1' * 5000}))", "is neither a number"),
    ("(assert (<= X_0))", "cannot read the condition '<='"),
    ("(assert (<= X_0 1 2))", "cannot read the condition '<='"),
    ("(assert (<== X_0 1))", "cannot read the condition '<=='"),
    ("(assert (not (<= X_0 1)))", "cannot read the condition 'not'"),
    ("(assert (<= (/ X_0 2) 1))", "unknown operator '/'"),
    ("(assert (<= (<= X_0 1) 1))", "unknown operator '<='"),
    ("(assert)", "cannot read this statement"),
    ("(assert (<= X_0 1) (<= X_0 1))", "cannot read this statement"),
    ("(assert X_0)", "expected an operator"),
    ("(assert (and))", "expected an operator"),
    ("(assert (or X_0 Y_0))", "expected an operator"),
    ("(assert (<= (+) 1))", "expected an operator"),
    ("(assert (<= () 1))", "expected an operator"),
    ("(assert ((<= X_0 1) 1))", "expected an operator"),
    ("(<= X_0 1)", "cannot read this statement"),
    ("((assert) (<= X_0 1))", "cannot read this statement"),
    ("()", "cannot read this statement"),
    ("X_0", "'X_0' outside a statement"),
    ("(declare-const X_0 Real)", "cannot read this statement"),
    ("(declare-const x Real)", "cannot read this statement"),
    ("(declare-const X_1 Int)", "cannot read this statement"),
    ("(declare-const X_1)", "cannot read this statement"),
    ("(declare-const (X_1) Real)", "cannot read this statement"),
    ("(declare-const X_2 Real)", "declarations of X or Y are not"),
    ("(vnnlib-version <2.0>)", "cannot read this statement"),
    ("(declare-network f)", "cannot read this statement"),
    ('(set-info "a)', "a quote that is never closed"),
    ("(set-info |a)", "a quote that is never closed"),
    ("(assert " + "(and " * MAX_DEPTH, f"nested deeper than {MAX_DEPTH}"),
    ("(assert (or (<= Y_0 0) (<= Y_0 1)))\n" * 18, "property: multiplying out the 'or's gives more than 200,000"),
    ("(assert (or (<= Y_0 0) (<= Y_0 1)))\n" * 2000, "multiplying out the 'or's"),
])
def test_malformed(body, message):
    with pytest.raises(Rejected) as caught:
        read_spec(boxed(body).replace(")(assert", ")\n(assert", 1))
    assert message in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 200


@pytest.mark.parametrize(("body", "message"), [
    ("", "for ['X_0']"),
    ("(assert (>= X_0 1))", "for ['X_0']"),
    ("(assert (<= X_0 1))", "for ['X_0']"),
    ("(assert (<= X_0 Y_0))", "for ['X_0']"),
    ("(assert (>= X_0 0))(assert (or (<= X_0 1) (<= Y_0 1)))", "for ['X_0']"),
])
def test_unbounded_inputs(body, message):
    with pytest.raises(Rejected, match=re.escape(message)):
        read_spec(declare(1, 1) + body)


@pytest.mark.parametrize("text", ["", "(declare-const X_0 Real)", "(declare-const Y_0 Real)", "; only a comment"])
def test_missing_declarations(text):
    with pytest.raises(Rejected, match="without a gap"):
        read_spec(text)


def test_bytes_that_are_no_text():
    with pytest.raises(Rejected, match="byte 1 is not UTF-8"):
        read_spec(b"(\xff")


def test_damaged_texts_are_read_or_rejected():
    """Nothing but `Rejected` comes out of a text with a few characters changed."""
    rng = random.Random(7)
    text = boxed("(assert (or (and (<= Y_0 (* 2 (+ X_0 1e-3))) (>= Y_1 0)) (= Y_1 -3)))\n(set-info :a \"b\")")
    outcomes = {True: 0, False: 0}
    for _ in range(1500):
        damaged = list(text)
        for _ in range(rng.randint(1, 2)):
            damaged[rng.randrange(len(damaged))] = rng.choice("()XY_01e-.<=;|\" \n*+andor\u0661")
        try:
            read_spec("".join(damaged))
            outcomes[True] += 1
        except Rejected as error:
            assert "\n" not in str(error)
            outcomes[False] += 1
    assert min(outcomes.values()) > 50


@pytest.mark.parametrize(("value", "expected"), [
    (F(1, 2), (0.5, 0.5)), (F(0), (0.0, 0.0)), (F(10) ** -400, (0.0, 5e-324)), (-F(10) ** -400, (-5e-324, 0.0)),
    (F("0.1"), (math.nextafter(0.1, 0), 0.1)), (F("0.3"), (0.3, math.nextafter(0.3, 1))),
    (F(1.7976931348623157e308), (1.7976931348623157e308,) * 2),
])
def test_enclose(value, expected):
    assert enclose(value) == expected
    assert F(expected[0]) <= value <= F(expected[1])


@pytest.mark.parametrize("value", [F(10) ** 400, -F(10) ** 400, F(1.7976931348623157e308) + 1])
def test_enclose_refuses_what_has_no_finite_neighbours(value):
    with pytest.raises(Rejected, match="does not fit"):
        enclose(value)


def test_enclose_random():
    rng = random.Random(8)
    for _ in range(500):
        value = F(rng.randrange(-10**12, 10**12), rng.randrange(1, 10**12)) * F(2) ** rng.randrange(-1090, 60)
        low, high = enclose(value)
        assert F(low) <= value <= F(high) and high in (low, math.nextafter(low, math.inf))


def test_properties_of_the_examples():
    for path in sorted((Path(__file__).parents[4] / "examples").glob("*.vnnlib")):
        assert_same_reading(path.read_text(encoding="utf-8"), path.name)


@pytest.mark.skipif(not BENCH.is_dir(), reason="the shared benchmark properties (../shared/bench) are not here")
def test_real_properties_as_the_prover_reads_them():
    rng = random.Random(0)
    compared = 0
    for directory in sorted(BENCH.glob("*/vnnlib")):
        files = sorted(directory.iterdir())
        for path in rng.sample(files, min(3, len(files))):
            mine, theirs = assert_same_reading(gzip.decompress(path.read_bytes()).decode(), path.name)
            assert [[(r.y, r.x, r.constant) for r in rows] for case in mine.cases for rows in case.disjuncts] == [
                [(h.y, h.x, h.constant) for h in rows] for case in theirs.cases for rows in case.disjuncts]
            compared += 1
    assert compared >= 30
