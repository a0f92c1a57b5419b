"""Networks and properties whose numbers leave the comfortable range: no engine may be wrong, or fail, on them.

Each was a wrong `unsat` or a traceback when it was found by reading the code against it.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

from tests.soundness.nets import case, dense, row, verdicts
from verify.bounds.crown import crown
from verify.bounds.ibp import ibp
from verify.bounds.walk import charges
from verify.graph import Graph, Node
from verify.ops import Concat, Input
from verify.sets import Interval

UNIT = [([[1.0]], [0.0])]


def test_values_that_underflow_and_come_back_are_not_zero():
    """y = x through factors 1e-38 and back: the bounds of the middle are 0 in floating point, those of y are not."""
    model = dense([([[1e-38]], [0])] * 9 + [([[1e38]], [0])] * 9)
    assert "unsat" not in verdicts(model, case([1], [2], [row({0: -1}, 0.5)]), seconds=0.5)


def test_factors_that_underflow_are_not_merged():
    """The same without activations in between: folding the matrices would make the weight 0."""
    model = dense([([[1e-38]], [0])] * 9 + [([[1e38]], [0])] * 9, activation="Identity")
    assert "unsat" not in verdicts(model, case([1], [2], [row({0: -1}, 0.5)]), seconds=0.5)


@pytest.mark.parametrize("exponent", [-1074, -1022, -300, 300, 1000, 4000])
def test_rows_in_any_units_are_decided_alike(exponent):
    unit = Fraction(2) ** exponent
    found = verdicts(dense(UNIT), case([-30], [-29], [row({0: unit / 8}, 3 * unit)]), engines=("crown", "bab"))
    assert "unsat" not in found and "sat" in found
    assert verdicts(dense(UNIT), case([-30], [-29], [row({0: unit / 8}, 4 * unit)])) == {"unsat"}


def test_terms_of_one_variable_that_cancel():
    h = row({0: 1}, Fraction(1, 2))
    big = tuple((0, Fraction(c)) for c in (10**17, 1, -(10**17)))
    assert "unsat" not in verdicts(dense(UNIT), case([-1], [1], [type(h)(big, h.constant)]))


@pytest.mark.parametrize("scales", [(-60, 60), (60, -60), (-20, -40), (-40, 10)])
def test_layers_in_other_units_give_no_other_verdict(scales):
    """|x0| - |x1| written with ReLUs, the layers multiplied by powers of two: solvers drop entries below 1e-9."""
    first, second = (2.0**k for k in scales)
    hidden = [[first, 0], [-first, 0], [0, first], [0, -first]]
    middle = [[second, second, -second, -second], [-second, -second, second, second]]
    last = 1 / (first * second)
    for constant, allowed in ((0.99, {"sat", "unknown"}), (1.01, {"unsat", "unknown"})):
        model = dense([(hidden, [0] * 4), (middle, [0] * 2), ([[last, -last]], [0])])
        found = verdicts(model, case([-1, -1], [1, 1], [row({0: 1}, constant)]), dtypes=("float64",))
        assert found <= allowed and len(found) == 2


@pytest.mark.parametrize("copies", [3, 60])
def test_a_value_that_many_layers_read(copies):
    """1e8 x in many parts that cancel but for x: coefficients are added up in some order."""
    big = [1e8, -1e8] * (copies // 2) + [1.0]
    model = dense([([[1.0]], [2.0]), ([[b] for b in big], [0] * len(big)), ([[1.0] * len(big)], [0])], "Identity")
    assert "unsat" not in verdicts(model, case([-1], [1], [row({0: 1}, -1)]))


def scaled_pair(x_limit: float) -> tuple[bytes, object]:
    """y = relu(relu(relu(c x) c - 1) c - 1) d^3 . 1 in double precision, elementwise with c = (1e30, 1): the first
    entry overflows in float32, the second one does not."""
    proto = onnx.load_from_string(dense(UNIT))
    values = {"c": [1e30, 1.0], "d": [1e-30, 1.0], "m": [-1.0, -1.0], "w": [[1.0], [1.0]]}
    nodes = [("Mul", "x", "c", "a"), ("Relu", "a", None, "b"), ("Mul", "b", "c", "e"), ("Add", "e", "m", "f"),
             ("Relu", "f", None, "g"), ("Mul", "g", "c", "h"), ("Add", "h", "m", "i"), ("Relu", "i", None, "j"),
             ("Mul", "j", "d", "k"), ("Mul", "k", "d", "l"), ("Mul", "l", "d", "n"), ("MatMul", "n", "w", "y")]
    double = onnx.TensorProto.DOUBLE
    graph = helper.make_graph(
        [helper.make_node(op, [v for v in (a, b) if v], [y]) for op, a, b, y in nodes], "overflow",
        [helper.make_tensor_value_info("x", double, [1, 2])], [helper.make_tensor_value_info("y", double, [1, 1])],
        [numpy_helper.from_array(np.array(v), name) for name, v in values.items()])
    proto.graph.CopyFrom(graph)
    return proto.SerializeToString(), ([-1, -x_limit], [1, x_limit])


def test_overflow_in_some_entries_weakens_bounds_and_breaks_nothing():
    """Infinite and missing bounds next to finite ones ended in an internal error; the network is finite in float64."""
    model, box = scaled_pair(4.0)
    assert "unsat" not in verdicts(model, case(*box, [row({0: -1}, 2)]))
    found = verdicts(model, case(*box, [row({0: -1}, 6)]), seconds=1.0)
    assert "unsat" in found and "sat" not in found


def curve_of_curve(first: str, second: str) -> bytes:
    """y = second(first(x)) in double precision."""
    double = onnx.TensorProto.DOUBLE
    inputs = ["x", "x"] if first == "Mul" else ["x"]
    nodes = [helper.make_node(first, inputs, ["e"]), helper.make_node(second, ["e"], ["y"])]
    ends = [helper.make_tensor_value_info(name, double, [1, 1]) for name in "xy"]
    return helper.make_model(helper.make_graph(nodes, "overflow", ends[:1], ends[1:]),
                             opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()


@pytest.mark.parametrize("first, second, low, high, reached", [("Exp", "Log", 1, 100, 95), ("Mul", "Sqrt", 0, 10**20,
                                                                                           5 * 10**19)])
def test_values_beyond_float32_stay_possible(first, second, low, high, reached):
    """log(exp(x)) and sqrt(x^2) in float64; what is between does not fit into float32, in which bounds are computed."""
    model, h = curve_of_curve(first, second), row({0: -1}, reached)
    assert "unsat" not in verdicts(model, case([low], [high], [h]), engines=("ibp", "crown", "alpha-crown", "bab"),
                                   seconds=0.3)


@pytest.mark.xfail(strict=True, reason="sums of coefficients of three readings are not charged (verify.bounds.walk)")
def test_rows_that_cancel_where_a_value_is_read_three_times():
    """c_0 x + c_1 x + c_2 x by moves alone: the coefficients nearly cancel, x is large."""
    x = Node("x", Input((1,)), (), (1,))
    graph = Graph((x, Node("y", Concat(0), ("x", "x", "x"), (3,))), "y").to(dtype=torch.float32)
    ends = torch.tensor([[2.0**20]])
    coeff = torch.tensor([[[1.2884, 0.8984, -2.1409]]])
    box = Interval(-ends, ends)
    bound, _ = crown(graph, box, coeff, charges=charges(graph, ibp(graph, box)))
    least = -(sum(Fraction(v) for v in coeff.flatten().tolist()) * 2**20)
    assert Fraction(float(bound)) <= -abs(least)
