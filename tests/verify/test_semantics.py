"""Who may ask for which semantics, and what a result says about it."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.soundness.nets import case, dense, row
from verify import verify
from verify.budget import Budget
from verify.errors import InvalidInput
from verify.explain import explain
from verify.onnx_import import from_bytes
from verify.pipeline import Problem, load_problem, solve
from verify.query import Case, InputBox, Spec
from verify.result import ClosedTree, Reason, Result
from verify.semantics import check_semantics, stated

MODEL = dense([([[1.0]], [0.0])])


def doubled() -> bytes:
    ends = [helper.make_tensor_value_info(name, TensorProto.DOUBLE, [1, 1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "double", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    return model.SerializeToString()


def test_a_network_in_double_precision_is_refused_by_name():
    network = from_bytes(doubled())
    check_semantics("real", network)
    with pytest.raises(InvalidInput, match="computes in float64, for which real would be accepted"):
        check_semantics("float32", network)


def test_unknown_semantics_are_one_clear_line():
    with pytest.raises(InvalidInput, match="semantics can be real or float32, got 'float16'"):
        check_semantics("float16", from_bytes(MODEL))
    with pytest.raises(InvalidInput, match="float16"):
        verify(MODEL, spec(case([0], [1], [row({0: 1}, 1)])), semantics="float16")


def spec(*cases: Case) -> Spec:
    return Spec(1, 1, cases, "by hand")


@pytest.mark.parametrize("semantics", ["real", "float32"])
def test_every_result_carries_its_semantics(semantics):
    for threshold, word in ((1, "unsat"), ("-0.5", "sat")):
        result = verify(MODEL, spec(case([0], [1], [row({0: 1}, threshold)])), semantics=semantics)
        assert (result.as_vnncomp, result.semantics) == (word, semantics)


def test_an_engine_without_the_semantics_is_refused():
    problem = Problem(from_bytes(MODEL), spec(case([0], [1], [row({0: 1}, 1)])), "float32")
    with pytest.raises(InvalidInput, match="'auto-lirpa' cannot decide under semantics float32; real would be"):
        solve(problem, "auto-lirpa", Budget.seconds(1.0), "cpu")


def test_a_box_without_float32_inputs_is_said_to_be_one():
    tenth = Fraction(1, 10)
    hollow = case([tenth], [tenth], [row({0: 1}, 1)])
    result = verify(MODEL, spec(hollow), semantics="float32")
    assert result.as_vnncomp == "unsat" and "the input box holds no float32 input" in result.detail
    assert "float32" not in verify(MODEL, spec(hollow)).detail
    proved = Result.verified(ClosedTree(1, 1.0), detail="so far")
    full = Case(InputBox.from_floats(np.zeros(1), np.ones(1)), hollow.disjuncts)
    assert stated(proved, spec(full, hollow), "float32").detail.startswith("so far; 1 input boxes (first 1) hold no")
    assert stated(proved, spec(full), "float32").detail == "so far"


def test_overflow_is_unknown_with_the_name_of_the_node():
    model = dense([([[2.0**40]], [0.0]), ([[2.0**20]], [0.0])])
    asked = spec(case([1], [2], [row({0: 1}, 1)]))
    assert verify(model, asked).as_vnncomp == "unsat"
    for method in ("ibp", "crown", "alpha-crown", "bab", "milp", "portfolio"):
        result = verify(model, asked, semantics="float32", method=method, timeout=1)
        assert result.reason is Reason.NUMERICS and "'z1'" in result.detail, method


def test_the_explanation_names_the_semantics(tmp_path):
    (tmp_path / "net.onnx").write_bytes(MODEL)
    (tmp_path / "p.vnnlib").write_text("(declare-const X_0 Real)(declare-const Y_0 Real)(assert (>= X_0 0))"
                                       "(assert (<= X_0 1))(assert (<= Y_0 -1))")
    problem = load_problem(tmp_path / "net.onnx", tmp_path / "p.vnnlib", "float32")
    assert any("float32: an answer is about every float32 execution" in line for line in explain(problem).lines())
    assert any("real: an answer is about the network over the reals" in line
               for line in explain(problem.network).lines())
