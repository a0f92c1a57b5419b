"""Names, indices and types: accepted or refused by line."""

import pytest

from tests.verify.vnnlib.v2.texts import HEADER, box, network, query, tensor
from verify.errors import InvalidInput, UnsupportedSpec
from verify.vnnlib import parse_spec


def refused(text: str, error=InvalidInput) -> str:
    with pytest.raises(error) as caught:
        parse_spec(text, "f")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_entries_are_laid_out_in_order():
    """X: inputs of all networks; Y: the outputs of each, then its hidden tensors; row-major."""
    hidden = tensor("hidden", "H", "[2]", onnx='"h"')
    first = f"(declare-network f {tensor('input', 'A', '[2,2]')} {tensor('input', 'B', '[]')} {hidden} " \
            f"{tensor('output', 'Y', '[3]')})"
    second = f"(declare-network g {tensor('input', 'C', '[1]')} {tensor('output', 'V', '[2]')})"
    limits = "".join(f"(assert (and (<= 0.0 {v}) (<= {v} 1.0)))" for v in
                     ("A[0,0]", "A[0,1]", "A[1,0]", "A[1,1]", "B", "C[0]"))
    row = "(assert (<= (+ A[1,0] (* 2.0 B) (* 3.0 C[0]) (* 4.0 Y[2]) (* 5.0 H[1]) (* 6.0 V[1])) 7.0))"
    spec = parse_spec(HEADER + first + second + limits + row)
    (h,) = spec.cases[0].disjuncts[0]
    assert (spec.inputs, spec.outputs) == (6, 7) and h.constant == -7
    assert dict(h.x) == {2: 1, 4: 2, 5: 3} and dict(h.y) == {2: 4, 4: 5, 6: 6}
    assert [spec.name("X", k) for k in (2, 4, 5)] == ["A[1,0]", "B", "C[0]"] and spec.name("Y", 4) == "H[1]"


@pytest.mark.parametrize(("term", "message"), [
    ("Z[0]", "f:5: 'Z' is not declared; declared: X, Y"), ("f[0]", "'f' is not declared"),
    ("X[0]", "f:5: X has 2 dimensions but 1 indices; all are needed"), ("X", "X has 2 dimensions but 0 indices"),
    ("X[0,0,0]", "X has 2 dimensions but 3 indices"),
    ("X[0,2]", "index 2 of X is out of range: dimension 1 has size 2"),
    ("Y[1,0]", "index 1 of Y is out of range: dimension 0 has size 1"),
    ("1", "f:5: an integer meets real; both sides must have one type; write it with a decimal point, as in 1.0"),
    ("(* 2 Y[0,0])", "an integer meets real"), ("(+ 1 Y[0,0])", "an integer meets real"),
    ("(+ 1 1.0)", "a decimal meets an integer"), (f"{'9' * 400}.0", "does not fit into float64"),
])
def test_terms_refused(term, message):
    assert message in refused(query(f"(assert (<= Y[0,0] {term}))"))


@pytest.mark.parametrize("dtype", ["real", "float16", "float32", "float64", "bfloat16", "Real"])
def test_types(dtype):
    spec = parse_spec(query("(assert (<= Y[0,0] 1.0))", network(dtype=dtype)))
    assert spec.interface.tensors[0].dtype == dtype.lower()


@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool", "string", "double", "complex64", "float8e5m2"])
def test_other_types_are_unsupported(dtype):
    message = refused(query("(assert (<= Y[0,0] 1.0))", network(dtype=dtype)), UnsupportedSpec)
    assert message.startswith("f:2: X has") and dtype in message


def test_types_do_not_mix():
    pair = network("f", dtype="float32") + network("g", "U", "V", dtype="float64")
    assert parse_spec(query("(assert (<= Y[0,0] 1.0))", pair, box() + box("U"))).interface.networks
    assert "f:8: float64 meets float32" in refused(query("(assert (<= Y[0,0] V[0,0]))", pair, box() + box("U")))
    mixed = f"(declare-network f {tensor('input', 'X')} {tensor('output', 'Y', dtype='float32')})\n"
    assert "f:2: Y has type float32; a query uses real for all variables or for none" in refused(query("", mixed))


@pytest.mark.parametrize(("second", "message"), [
    (network("f", "U", "V"), "f:3: network f is declared twice"), (network("g", "X", "V"), "f:3: X is declared twice"),
    (network("g", "U", "V", "(equal-to h)"), "network g is equal-to h, which is not declared before it"),
    (network("g", "U", "V", "(equal-to g)"), "network g is equal-to g, which is not declared before it"),
    (network("g", "U", "V", "(equal-to f)", shape="[1,3]"), "input U real [1,3] differs from input X real [1,2]"),
    (network("g", "U", "V", "(isomorphic-to f)", shape="[2,1]"), "differs from input X"),
    (network("g", "U", "V", "(equal-to f)") + network("h", "A", "B", "(isomorphic-to g)"),
     "itself equal or isomorphic"),
    (f"(declare-network g (equal-to f) {tensor('input', 'U')} {tensor('output', 'V')} {tensor('output', 'W')})",
     "declares 2 outputs; f declares 1"),
])
def test_networks_refused(second, message):
    assert message in refused(query("", network() + second))


def test_equal_and_isomorphic_networks_compare_types_differently():
    pair = network("f", dtype="float32") + network("g", "U", "V", "(isomorphic-to f)", dtype="float64")
    assert parse_spec(query("(assert (<= Y[0,0] 1.0))", pair, box() + box("U"))).interface.networks[1].isomorphic_to
    assert "differs from" in refused(query("", pair.replace("isomorphic-to", "equal-to")))


def test_hidden_values_of_equal_networks_agree():
    def with_hidden(name, x, h, y, extra="", shape="[2]"):
        hidden = tensor("hidden", h, shape, onnx='"h"')
        return f"(declare-network {name} {extra} {tensor('input', x)} {hidden} {tensor('output', y)})\n"

    first = with_hidden("f", "X", "H", "Y")
    same, other = (first + with_hidden("g", "U", "K", "V", "(equal-to f)", shape) for shape in ("[2]", "[3]"))
    assert parse_spec(query("(assert (<= H[0] K[1]))", same, box() + box("U"))).outputs == 8
    assert "hidden K real [3] differs from hidden H real [2]" in refused(query("", other))


@pytest.mark.parametrize(("bounds", "message"), [
    ("(assert (<= X[0,1] 1.0))", "f:2: X[0,0] has no lower bound; every input needs constant bounds in every branch"),
    (box()[: box().index("\n")] + "(assert (<= X[0,1] 1.0))", "f:2: X[0,1] has no lower bound"),
    (box() + "(assert (>= X[0,1] 1.5))",
     "f:2: the conditions on the inputs contradict each other: no value is left for X[0,1]"),
    (box() + "(assert (>= (+ X[0,0] X[0,1]) 2.5))", "contradict each other: no value is left for X[0,"),
    (box() + "(assert (or (>= X[0,1] 1.5) (<= X[0,0] -2.0)))", "contradict each other: no value is left for X[0,1]"),
    (box() + "(assert (<= 2.0 1.0))", "f: the assertions contradict each other"),
])
def test_unbounded_and_contradictory_inputs(bounds, message):
    assert message in refused(query("(assert (<= Y[0,0] 1.0))", bounded=bounds))


def test_a_contradictory_branch_is_left_out():
    spec = parse_spec(query("(assert (or (and (>= X[0,1] 1.5) (<= Y[0,0] 0.0)) (>= Y[0,1] 0.0)))"))
    assert len(spec.cases) == 1 and len(spec.cases[0].disjuncts) == 1
