"""The syntax tree, and the message for every way a text can be malformed."""

from decimal import Decimal

import pytest

from verify.errors import InvalidInput, UnsupportedSpec
from verify.vnnlib.parser import MAX_DEPTH, Arithmetic, Comparison, Constant, Junction, Variable, parse

HEAD = "(declare-const X_0 Real)\n(declare-const Y_0 Real)\n"


def test_tree_by_hand():
    text = "(assert (or (<= X_0 1e-1) (< (* -2 Y_0) (- 0.5))))"
    (tree,) = parse(text, "f").asserts
    first, second = tree.args
    assert isinstance(tree, Junction) and tree.op == "or"
    assert first == Comparison("<=", Variable("X", 0, 13), Constant(Decimal("0.1"), 13), 13)
    assert isinstance(second.left, Arithmetic) and second.left.op == "*" and second.op == "<"
    assert second.left.args == (Constant(Decimal(-2), 32), Variable("Y", 0, 35))
    assert second.right.args == (Constant(Decimal("0.5"), 43),)


def test_plain_and_taken_apart_comparisons_are_the_same():
    (fast,), (slow,) = parse("(assert (>= X_0 0.25))", "f").asserts, parse("(assert (>= X_0;\n 0.25))", "f").asserts
    assert (fast.op, fast.left[:2], fast.right[0]) == (slow.op, slow.left[:2], slow.right[0])


def test_declarations_crlf_comments_and_housekeeping():
    script = parse(
        '(vnnlib-version <1.0>)\r\n(set-logic QF_LRA)(set-info :source "a ( b")\r\n; X_5\r\n'
        "(declare-fun X_0 () Real)\r\n(declare-const Y_0 Real)\r\n(check-sat)\r\n", "f")
    assert set(script.declared) == {("X", 0), ("Y", 0)}
    assert script.where(script.declared["X", 0]) == "f:4"


@pytest.mark.parametrize(("text", "message"), [
    ("(assert (<= X_0 1)", "f:3: the parenthesis opened here is never closed"),
    ("\n(assert (<= X_0 1)))", "f:4: a closing parenthesis without an opening one"),
    ("(assert (and (<= X_0 1)\n(assert (<= X_0 1))", "f:4: an assert inside another statement; is a ')' missing?"),
    ("(assert (<= X_0 1)\n(declare-const X_1 Real)", "f:4: a declaration inside another statement"),
    ("(assert (<= X_0 inf))", "f:3: 'inf' is neither a number nor a variable"),
    ("(assert (<= X_0 nan))", "'nan' is neither"),
    ("(assert (<= Z_0 1))", "'Z_0' is neither"),
    ("(assert (<= X_01 1))", "'X_01' is neither"),
    ("(assert (<= X_0 1e400))", "f:3: the number 1e400 does not fit into float64"),
    ("(assert (<= X_0 1e999999999))", "neither a number"),
    ("(assert (<= X_0))", "compares two terms, found 1"),
    ("(assert (<= X_0 1 2))", "compares two terms, found 3"),
    ("(assert)", "assert takes one condition, found 0"),
    ("(assert (<= X_0 1) (<= X_0 1))", "assert takes one condition, found 2"),
    ("(assert X_0)", "expected a condition"),
    ("(assert (and))", "needs at least one condition"),
    ("(assert (<= (+) 1))", "needs at least one term"),
    ("(assert (<= (<= X_0 1) 1))", "a comparison '<=' where"),
    ("(assert (<= () 1))", "expected a term"),
    ("(<= X_0 1)", "a comparison outside (assert ...)"),
    ("X_0", "outside a statement"),
    ("()", "expected (declare-const"),
    ("(asert (<= X_0 1))", "unknown statement 'asert'"),
    ("(declare-const X_0 Real)", "f:3: X_0 is declared twice"),
    ("(declare-const x Real)", "cannot declare 'x'"),
    ("(declare-const X_1)", "cannot read this declare-const"),
    ("(declare-fun X_1 (Real) Real)", "cannot read this declare-fun"),
    ('(set-info "a)', "unclosed quote"),
])
def test_malformed(text, message):
    with pytest.raises(InvalidInput) as caught:
        parse(HEAD + text, "f")
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "message"), [
    ("(vnnlib-version <1.0>)\n(vnnlib-version <2.0>)", "f:2: another version in a text of VNN-LIB 1.0"),
    ("; c\n(declare-network f (declare-input X float32 [1]))", "f:2: (declare-network ...) in a text of VNN-LIB 1.0"),
    ("(declare-const X_0 Int)", "f:1: X_0 is declared as 'Int'; only Real"),
    ("(assert (not (<= X_0 1)))", "unknown operator 'not'"),
    ("(assert (=> (<= X_0 1) (<= X_0 1)))", "unknown operator '=>'"),
    ("(assert (<= (/ X_0 2) 1))", "unknown operator '/' in a term; accepted: +, -, *"),
    ("(assert " + "(and " * MAX_DEPTH, "nested deeper than 200"),
])
def test_outside_the_language(text, message):
    with pytest.raises(UnsupportedSpec) as caught:
        parse(text, "f")
    assert message in str(caught.value)


def test_deep_nesting_within_the_limit():
    deep = MAX_DEPTH - 2
    (tree,) = parse("(assert " + "(and " * deep + "(<= X_0 1)" + ")" * deep + ")", "f").asserts
    assert isinstance(tree, Junction)
