"""One test for each rule of the grammar: what it accepts, and the message for what breaks it."""

import pytest

from tests.verify.vnnlib.v2.texts import HEADER, box, network, query, tensor
from verify.errors import InvalidInput, UnsupportedSpec, VerifyError
from verify.interface import HIDDEN, INPUT, OUTPUT
from verify.vnnlib import parse_spec
from verify.vnnlib.tree import Arithmetic, Comparison, Junction
from verify.vnnlib.v2.parser import MAX_DEPTH, parse
from verify.vnnlib.v2.tree import Element, Literal

NETWORK = network()
ASSERT = "(assert (<= X[0,0] 1.0))"
HIDDEN_H = tensor("hidden", "H", onnx='"h"')


def term(text: str):
    return parse(HEADER + NETWORK + f"(assert (<= {text} 1.0))", "f").asserts[0].left


def formula(text: str):
    return parse(HEADER + NETWORK + f"(assert {text})", "f").asserts[0]


def refused(text: str, error: type[VerifyError] = InvalidInput) -> str:
    with pytest.raises(error) as caught:
        parse(text, "f")
    assert str(caught.value).startswith("f:") and "\n" not in str(caught.value)
    return str(caught.value)


# Query ::= Version [NetworkDefinition] [Assertion]


def test_query():
    script = parse(HEADER + NETWORK + network("g", "U", "V") + ASSERT * 2, "f")
    assert [n.name for n in script.networks] == ["f", "g"] and len(script.asserts) == 2


@pytest.mark.parametrize(("text", "message"), [
    (HEADER + NETWORK, "f:3: nothing is asserted; expected at least one (assert ...)"),
    (HEADER + ASSERT, "f:2: an assertion before any network is declared"), (HEADER, "f:2: no network is declared"),
    (HEADER + NETWORK + ASSERT + network("g", "U", "V"), "f:3: a network is declared behind an assertion"),
    (NETWORK + ASSERT, "f:1: the first statement must be (vnnlib-version <2.0>)"), ("", "f:1: the first statement"),
    (HEADER + HEADER + NETWORK + ASSERT, "f:2: the version is stated twice"),
    (HEADER + NETWORK + "(check-sat)" + ASSERT, "f:3: unknown statement 'check-sat'"),
    (HEADER + "(declare-const X_0 Real)", "f:2: declare-const belongs to VNN-LIB 1.0"),
    (HEADER + tensor("input", "X"), "f:2: declare-input outside (declare-network ...)"),
    (HEADER + "((x))", "f:2: a statement without a name"), (HEADER + "x", "f:2: 'x' outside a statement"),
    (HEADER + NETWORK + ASSERT + ")", "f:3: a closing parenthesis without an opening one"),
    (HEADER + NETWORK + "(assert (<= X[0,0] 1.0)", "f:3: the parenthesis opened here is never closed"),
    (HEADER + NETWORK + "(assert (<= X[0,0 1.0))", "f:3: unexpected character, or an unclosed bracket or quote: '['"),
])
def test_query_refused(text, message):
    assert message in refused(text)


# Version ::= "(vnnlib-version" VersionToken ")"


@pytest.mark.parametrize("version", ["<2.0>", "<2.1>"])
def test_version(version):
    assert parse(f"; comment\n(vnnlib-version {version})\n" + NETWORK + ASSERT, "f").asserts


@pytest.mark.parametrize("version", ["", "2.0", "<2>", "< 2.0 >", "<2.0> <2.0>", '"<2.0>"'])
def test_version_refused(version):
    assert "f:1: cannot read the version" in refused(f"(vnnlib-version {version})" + NETWORK + ASSERT)


def test_other_versions_are_unsupported():
    assert "f:1: VNN-LIB 3.0 is not supported" in refused("(vnnlib-version <3.0>)", UnsupportedSpec)
    assert "f:1: VNN-LIB 1.0" in refused("(vnnlib-version <1.0>)" + NETWORK, UnsupportedSpec)


# NetworkDefinition ::= "(declare-network" VariableName [NetworkEquivalence] [Input] [Hidden] [Output] ")"


def test_network_definition():
    text = f"(declare-network f {tensor('input', 'A')}{tensor('input', 'B', '[]')}{HIDDEN_H}{tensor('output', 'C')})"
    (declared,) = parse(HEADER + text + ASSERT, "f").networks
    assert [(t.name, t.role) for t in declared.tensors] == [("A", INPUT), ("B", INPUT), ("H", HIDDEN), ("C", OUTPUT)]
    assert declared.tensors[1].shape == () and declared.tensors[2].onnx == "h" and declared.tensors[0].shape == (1, 2)
    assert declared.place == "f:2" and declared.tensors[0].dtype == "real"


@pytest.mark.parametrize(("inside", "message"), [
    ("", "expected (declare-network NAME ...)"), ("f", "network f declares no input"),
    (f"f {tensor('input', 'X')}", "network f declares no output"),
    (f"f {tensor('output', 'X')}", "network f declares no input"),
    (f"f {tensor('output', 'Y')} {tensor('input', 'X')}", "an input declared behind an output"),
    (f"f {tensor('input', 'X')} {tensor('output', 'Y')} {HIDDEN_H}", "a hidden declared behind an output"),
    (f"f {HIDDEN_H} {tensor('input', 'X')} {tensor('output', 'Y')}", "an input declared behind a hidden"),
    (f"f g {tensor('input', 'X')}", "expected (equal-to ...), (isomorphic-to ...), (declare-input ...)"),
    (f"1f {tensor('input', 'X')}", "expected the name of a network"),
    (f"_f {tensor('input', 'X')}", "expected the name of a network"),
    (f"f-g {tensor('input', 'X')}", "found 'f-g'"), (f"(f) {tensor('input', 'X')}", "expected the name of a network"),
    (f"and {tensor('input', 'X')}", "expected the name of a network"),
])
def test_network_definition_refused(inside, message):
    assert message in refused(HEADER + f"(declare-network {inside})" + ASSERT)


# NetworkEquivalence ::= "(isomorphic-to" VariableName ")" | "(equal-to" VariableName ")"


def test_network_equivalence():
    text = NETWORK + network("g", "U", "V", "(equal-to f)") + network("h", "A", "B", "(isomorphic-to f)")
    _, g, h = parse(HEADER + text + ASSERT, "f").networks
    assert (g.equal_to, g.isomorphic_to, h.equal_to, h.isomorphic_to) == ("f", None, None, "f") and g.model == "f"


@pytest.mark.parametrize(("extra", "message"), [
    ("(equal-to)", "expected (equal-to NAME)"), ("(equal-to f f)", "expected (equal-to NAME)"),
    ("(equal-to f) (isomorphic-to f)", "network g has a second equal-to or isomorphic-to"),
    ("(equal-to 1)", "expected the name of a network"),
])
def test_network_equivalence_refused(extra, message):
    assert message in refused(HEADER + NETWORK + network("g", "U", "V", extra) + ASSERT)


def test_network_equivalence_comes_first():
    text = f"(declare-network g {tensor('input', 'U')} (equal-to f) {tensor('output', 'V')})"
    assert "equal-to comes before the declarations" in refused(HEADER + NETWORK + text + ASSERT)


# InputDefinition, HiddenDefinition, OutputDefinition; ElementType; TensorShape; OnnxName; InputOption


@pytest.mark.parametrize(("declaration", "message"), [
    ("(declare-input X real)", "expected (declare-input NAME TYPE [d, ...])"),
    ("(declare-input X [1,2])", "expected (declare-input NAME TYPE [d, ...])"),
    ("(declare-input X real [1,2] [1])", "expected (declare-input NAME TYPE [d, ...])"),
    ('(declare-input X real [1,2] "x")', "expected (declare-input NAME TYPE [d, ...])"),
    ("(declare-input X real [0])", "a dimension is an integer of at least 1, found '0'"),
    ("(declare-input X real [-1])", "a dimension is an integer of at least 1, found '-1'"),
    ("(declare-input X real [1.5])", "found '1.5'"), ("(declare-input X real [1 4])", "found '1 4'"),
    ("(declare-input X real [n])", "found 'n'"), ("(declare-input X 32 [1])", "expected the name of a type"),
])
def test_tensor_refused(declaration, message):
    assert message in refused(HEADER + f"(declare-network f {declaration} {tensor('output', 'Y')})" + ASSERT)


def test_hidden_needs_the_name_of_a_value():
    text = f"(declare-network f {tensor('input', 'X')} {tensor('hidden', 'H')} {tensor('output', 'Y')})"
    assert 'expected (declare-hidden NAME TYPE [d, ...] "value in the model")' in refused(HEADER + text + ASSERT)


def test_names_of_values_may_have_escapes():
    hidden = tensor("hidden", "H", onnx=r'"/a\"b\\c;("')
    text = f"(declare-network f {tensor('input', 'X')} {hidden} {tensor('output', 'Y')})"
    assert parse(HEADER + text + ASSERT, "f").networks[0].of(HIDDEN)[0].onnx == '/a"b\\c;('


def test_initialized_is_unsupported():
    text = f"(declare-network f (declare-input X real [1,2] initialized) {tensor('output', 'Y')})"
    assert "f:2: 'initialized' inputs are not supported" in refused(HEADER + text + ASSERT, UnsupportedSpec)


# Assertion ::= "(assert" BoolExpr ")"


@pytest.mark.parametrize(("body", "message"), [
    ("(assert)", "assert takes one condition, found 0"), ("(assert (<= 1.0 X[0,0]) (<= 1.0 X[0,0]))", "found 2"),
    ("(assert X[0,0])", "assert takes one condition, found 2"), ("(assert true)", "expected a condition"),
    ("(assert ((<= 1.0 X[0,0])))", "expected a condition"),
])
def test_assertion_refused(body, message):
    assert message in refused(HEADER + NETWORK + body)


# BoolExpr: comparisons, and, or


@pytest.mark.parametrize("op", ["<", "<=", ">", ">=", "==", "!="])
def test_comparison(op):
    found = formula(f"({op} X[0,1] -2.50)")
    assert found == Comparison(op, Element("X", (0, 1), found.left.at), Literal("-2.50", found.right.at), found.at)


@pytest.mark.parametrize(("text", "message"), [
    ("(<= X[0,0])", "<= compares two terms, found 1"), ("(<= X[0,0] 1.0 2.0)", "<= compares two terms, found 3"),
    ("(<= X[0,0] (<= X[0,0] 1.0))", "a condition (<= ...) where a number or a term is needed"),
])
def test_comparison_refused(text, message):
    assert message in refused(HEADER + NETWORK + f"(assert {text})")


@pytest.mark.parametrize("op", ["and", "or"])
def test_connectives(op):
    found = formula(f"({op} (<= X[0,0] 1.0) ({op} (< X[0,0] 1.0)) (> X[0,0] 0.5))")
    assert isinstance(found, Junction) and found.op == op and [type(a) for a in found.args] == [
        Comparison, Junction, Comparison]
    assert f"({op}) needs at least one condition" in refused(HEADER + NETWORK + f"(assert ({op}))")


@pytest.mark.parametrize(("text", "message"), [
    ("(not (<= X[0,0] 1.0))", "unknown operator 'not' (there is no negation; write the opposite comparison)"),
    ("(=> (<= X[0,0] 1.0) (<= X[0,0] 1.0))", "unknown operator '=>' (there is no implication"),
    ("(= X[0,0] 1.0)", "unknown operator '=' (equality is written ==)"), ("(xor 1.0)", "accepted: and, or, <, <="),
])
def test_other_connectives_are_unsupported(text, message):
    assert message in refused(HEADER + NETWORK + f"(assert {text})", UnsupportedSpec)


# ArithExpr: variables, numbers, + - *


def test_variables():
    assert term("X[ 0 , 1 ]")[:2] == ("X", (0, 1)) and term("X [0,1]")[:2] == ("X", (0, 1)) and term("X")[1] == ()


@pytest.mark.parametrize(("text", "message"), [
    ("X[]", "empty brackets; a scalar is written without any"), ("X[0,-1]", "an index is an integer of at least 0"),
    ("X[0.0]", "an index is an integer of at least 0, found '0.0'"), ("X[0][1]", "brackets without a variable"),
    ("[0]", "brackets without a variable before them"), ("1.0[0]", "brackets without a variable"),
    ("X[0,]", "found ''"), ("X[i]", "found 'i'"), ('"X"', "a quoted name 'X' where a term is needed"),
])
def test_variables_refused(text, message):
    assert message in refused(HEADER + NETWORK + f"(assert (<= {text} 1.0))")


@pytest.mark.parametrize("text", ["0", "1.0", "-0.5", "007.50", "-12"])
def test_numbers(text):
    assert term(text).text == text


@pytest.mark.parametrize(("text", "message"), [
    *((text, "no exponent") for text in ("1e3", "1.0e-3", "+1.0", ".5", "5.")),
    *((text, "neither a number nor a variable") for text in ("0x1p3", "--1", "1.0f", "$x")),
])
def test_numbers_refused(text, message):
    assert message in refused(HEADER + NETWORK + f"(assert (<= X[0,0] {text}))")


def test_exponents_are_refused_as_such():
    assert refused(HEADER + NETWORK + "\n(assert (<= X[0,0] 1.0e3))") == (
        "f:4: the number '1.0e3' is not written as VNN-LIB 2.0 has it: digits, or digits '.' digits, with '-' in front "
        "if negative; no exponent")


@pytest.mark.parametrize(("text", "op", "count"), [
    ("(+ X[0,0])", "+", 1), ("(+ X[0,0] 1.0 Y[0,0])", "+", 3), ("(- X[0,0])", "-", 1), ("(- X[0,0] 1.0 2.0)", "-", 3),
    ("(* X[0,0] X[0,0] 2.0)", "*", 3), ("(* (+ X[0,0] 1.0))", "*", 1),
])
def test_arithmetic(text, op, count):
    found = term(text)
    assert isinstance(found, Arithmetic) and found.op == op and len(found.args) == count


@pytest.mark.parametrize("op", ["+", "-", "*"])
def test_arithmetic_needs_terms(op):
    assert f"({op}) needs at least one term" in refused(HEADER + NETWORK + f"(assert (<= ({op}) 1.0))")


def test_other_arithmetic_is_unsupported():
    text = HEADER + NETWORK + "(assert (<= (/ X[0,0] 2.0) 1.0))"
    assert "unknown operator '/' (there is no division; multiply by the reciprocal)" in refused(text, UnsupportedSpec)
    assert "expected a term" in refused(HEADER + NETWORK + "(assert (<= () 1.0))")


# Lexical structure


def test_comments_and_blanks():
    plain = query("(assert (<= Y[0,0] 1.0))")
    spaced = plain.replace(" ", " \t\r\n ; (comment [ \"\n ").replace("(", "( ")
    assert [c.disjuncts for c in parse_spec(plain).cases] == [c.disjuncts for c in parse_spec(spaced).cases]


def test_deep_nesting():
    depth = MAX_DEPTH - 2
    assert parse(HEADER + NETWORK + "(assert " + "(and " * depth + "(< X[0,0] 1.0)" + ")" * depth + ")", "f").asserts
    assert "nested deeper than 200" in refused(HEADER + NETWORK + "(assert " + "(and " * MAX_DEPTH, UnsupportedSpec)


def test_dispatch_on_the_header():
    assert parse_spec("; c\n" + query("(assert (<= Y[0,0] 1.0))")).interface is not None
    assert parse_spec("(vnnlib-version <1.0>)(declare-const X_0 Real)(declare-const Y_0 Real)"
                      "(assert (<= X_0 1e0))(assert (>= X_0 0))").interface is None
    with pytest.raises(InvalidInput, match="the first statement must be"):
        parse_spec(NETWORK + box() + ASSERT)
