"""The precise evaluation: hand-computed values, and agreement with float64 on every operator."""

from fractions import Fraction

import pytest
import torch

from tests.conformance.cases import CURVES
from tests.soundness.operator_networks import network
from tests.soundness.precise import FUNCTIONS, PreciseNetwork, Undefined
from verify import ops
from verify.graph import Graph, Node
from verify.onnx_import import from_bytes


def unary(op: ops.Op, size: int = 1) -> PreciseNetwork:
    return PreciseNetwork.of(Graph((Node("x", ops.Input((size,)), (), (size,)), Node("y", op, ("x",), (size,))), "y"))


def test_rational_operators_are_exact():
    third = Fraction(1, 3)
    assert unary(ops.Power(3.0)).evaluate([third]) == [Fraction(1, 27)]
    assert unary(ops.Power(-2)).evaluate([-third]) == [9]
    assert unary(ops.Reciprocal()).evaluate([third]) == [3]
    assert unary(ops.HardSwish()).evaluate([third]) == [Fraction(5, 27)]
    halves = [Fraction(k, 2) for k in (-3, -1, 0, 1, 3)]
    for op, wanted in ((ops.Floor(), [-2, -1, 0, 0, 1]), (ops.Ceil(), [-1, 0, 0, 1, 2]),
                       (ops.Round(), [-2, 0, 0, 0, 2]),
                       (ops.Sign(), [-1, -1, 0, 1, 1]), (ops.Positive(), [0, 0, 0, 1, 1]),
                       (ops.Positive(or_zero=True), [0, 0, 1, 1, 1]), (ops.Relu(), [0, 0, 0, halves[3], halves[4]])):
        assert unary(op, 5).evaluate(halves) == wanted
    square = Graph((Node("x", ops.Input((1,)), (), (1,)), Node("y", ops.Product(), ("x", "x"), (1,))), "y")
    assert PreciseNetwork.of(square).evaluate([third]) == [Fraction(1, 9)]


def test_functions_by_hand():
    (e,) = unary(ops.Exp()).evaluate([Fraction(1)])
    assert abs(e - Fraction("2.71828182845904523536028747135266249775724709369995957496696763")) < Fraction(1, 10**60)
    (root,) = unary(ops.Sqrt()).evaluate([Fraction(2)])
    assert abs(root**2 - 2) < Fraction(1, 2**290)


@pytest.mark.parametrize("op, x", [(ops.Log(), 0), (ops.Log(), -1), (ops.Reciprocal(), 0), (ops.Sqrt(), -1),
                                   (ops.Power(0.5), -1), (ops.Power(-1), 0), (ops.Asin(), 2), (ops.Atanh(), 1)])
def test_outside_of_a_domain(op, x):
    with pytest.raises(Undefined):
        unary(op).evaluate([Fraction(x)])


def test_other_operators_are_refused():
    with pytest.raises(TypeError, match="MaxOf"):
        unary(type("MaxOf", (ops.Exp,), {})())


@pytest.mark.parametrize("name", CURVES)
def test_every_curve(name):
    case = CURVES[name]
    assert type(case.op) in FUNCTIONS
    x = case.into(torch.linspace(-3, 3, 12, dtype=torch.float64))
    for z, y in zip(x.tolist(), case.op.evaluate(x).tolist(), strict=True):
        (found,) = unary(case.op).evaluate([Fraction(z)])
        assert abs(float(found) - y) <= 1e-13 * (1 + abs(y))


@pytest.mark.parametrize("seed", range(6))
def test_networks(seed):
    drawn = network((seed, 21))
    graph = from_bytes(drawn.onnx).graph
    points = torch.from_numpy(drawn.points[3:4]).double()
    found = PreciseNetwork.of(graph).evaluate([Fraction(v) for v in points.flatten().tolist()])
    wanted = graph.evaluate(points).flatten()
    assert torch.allclose(torch.tensor([float(v) for v in found], dtype=torch.float64), wanted, rtol=1e-9, atol=1e-9)
