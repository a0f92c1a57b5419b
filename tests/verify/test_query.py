"""Exact limits, exact replay, and the lowering of constraints to rows."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from verify.errors import InvalidInput, ShapeMismatch
from verify.graph import Graph, Node
from verify.ops import Input, Linear
from verify.query import Case, InputBox, LinearConstraint, Spec, lower, row_numbers

ONE, TENTH = Fraction(1), Fraction(1, 10)


def network() -> Graph:
    """y = (x_0 + x_1, x_0 - x_1)."""
    weight = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)
    return Graph((Node("x", Input((2,)), (), (2,)), Node("y", Linear(weight, None), ("x",), (2,))), "y")


def constraint(y, constant=0, x=(), strict=False):
    exact = [tuple((k, Fraction(c)) for k, c in pairs) for pairs in (y, x)]
    return LinearConstraint(exact[0], Fraction(constant), exact[1], strict)


def make(*disjuncts):
    case = Case(InputBox.from_floats(np.zeros(2), np.ones(2)), disjuncts)
    return case, Spec(2, 2, (case,), "test.vnnlib")


def test_decimal_limits_are_rounded_outward_and_inward():
    box = InputBox.exact([TENTH, Fraction(1, 2)], [TENTH, Fraction(3, 4)])
    assert Fraction(box.lower[0]) < TENTH < Fraction(box.upper[0])
    assert math.nextafter(box.lower[0], 1) == box.upper[0]
    assert (box.inner_lower[0], box.inner_upper[0]) == (box.upper[0], box.lower[0])
    assert (box.lower[1], box.inner_lower[1], box.upper[1], box.inner_upper[1]) == (0.5, 0.5, 0.75, 0.75)
    # The point 1/10 exists in the reals, so the box is not empty, though no float64 lies in it.
    assert box.empty is None


def test_empty_box_names_the_input():
    assert InputBox.exact([Fraction(0), Fraction(2)], [Fraction(1), Fraction(1)]).empty == 1


@pytest.mark.parametrize(("lower_limits", "upper_limits"), [([np.nan], [1.0]), ([0.0], [np.inf]), ([0.0], [1.0, 2.0])])
def test_bad_limits_are_refused(lower_limits, upper_limits):
    with pytest.raises(InvalidInput, match="finite and of one length"):
        InputBox.from_floats(np.array(lower_limits), np.array(upper_limits))


def test_limit_too_large_for_floats():
    with pytest.raises((InvalidInput, OverflowError)):
        InputBox.exact([Fraction(0)], [Fraction(10) ** 400])


def test_interval_has_the_network_shape():
    box = InputBox.from_floats(np.zeros(4), np.ones(4))
    assert box.interval((2, 2)).lower.shape == (1, 2, 2)
    with pytest.raises(ShapeMismatch, match=r"declares 4 inputs but the network takes 3"):
        box.interval((3,))


def test_constraints_are_exact():
    h = LinearConstraint(((0, ONE), (1, ONE)), -TENTH)
    strict = LinearConstraint(h.y, h.constant, strict=True)
    x, y = np.zeros(2), np.array([0.1, 0.0])
    assert h.value(x, y) == Fraction(0.1) - TENTH > 0 and not h.violated(x, y)
    on_border = constraint([(0, 1)], -0.5), constraint([(0, 1)], -0.5, strict=True)
    assert [g.violated(x, np.array([0.5, 0.0])) for g in on_border] == [True, False]
    assert strict.violated(x, np.array([0.05, 0.0]))


def test_unsafe_needs_the_box_and_a_whole_disjunct():
    _, spec = make((constraint([(0, 1)], -1), constraint([(1, 1)])), (constraint([(0, -1)], 2),))
    inside, outside = np.array([0.5, 0.5]), np.array([0.5, 1.5])
    assert spec.unsafe(inside, np.array([0.5, -1.0]))
    assert not spec.unsafe(inside, np.array([0.5, 1.0]))
    assert spec.unsafe(inside, np.array([2.0, 1.0]))
    assert not spec.unsafe(outside, np.array([0.5, -1.0]))
    assert not spec.unsafe(np.array([np.nan, 0.5]), np.array([0.5, -1.0]))


def test_rows_are_shared_between_disjuncts_and_compute_the_constraints():
    a, b, c = constraint([(0, 2)], -1), constraint([(1, 1)]), constraint([(0, 1), (1, -3)], 0.5)
    case, spec = make((a, b), (constraint(list(a.y), -1, strict=True), c))
    query = lower(case, network(), spec)
    assert query.rows == 3
    assert query.members.tolist() == [[True, True, False], [True, False, True]]
    x = torch.tensor([[0.25, 0.5]], dtype=torch.float64)
    rows, y = query.graph.evaluate(x)[0], network().evaluate(x)[0]
    assert rows.tolist() == [float(h.value(x[0].numpy(), y.numpy())) for h in (a, b, c)]


def test_row_numbers_follow_the_order_of_appearance():
    a, b = LinearConstraint(((0, Fraction(1)),), Fraction(0)), LinearConstraint(((1, Fraction(1)),), Fraction(0))
    strict = LinearConstraint(a.y, a.constant, strict=True)
    case = Case(InputBox.exact([Fraction(0)], [Fraction(1)]), ((b, a), (strict, a), ()))
    assert row_numbers(case) == ((0, 1), (1, 1), ())


def test_rows_may_read_the_input():
    h = constraint([(0, 1)], 3, x=[(1, -2)])
    case, spec = make((h,))
    query = lower(case, network(), spec)
    x = torch.tensor([[0.25, 0.5]], dtype=torch.float64)
    assert query.graph.evaluate(x).tolist() == [[0.75 + 3 - 1.0]]


def test_an_empty_conjunction_gets_a_row_that_belongs_to_nothing():
    case, spec = make(())
    query = lower(case, network(), spec)
    assert query.members.tolist() == [[False]]
    assert query.graph.evaluate(torch.ones(1, 2, dtype=torch.float64)).tolist() == [[0.0]]


@pytest.mark.parametrize(("inputs", "outputs", "message"), [
    (3, 2, r"test.vnnlib declares 3 inputs \(X\), the network takes 2"),
    (2, 5, r"test.vnnlib declares 5 outputs \(Y\), the network returns 2"),
])
def test_counts_must_agree(inputs, outputs, message):
    case, _ = make((constraint([(0, 1)]),))
    with pytest.raises(ShapeMismatch, match=message):
        lower(case, network(), Spec(inputs, outputs, (case,), "test.vnnlib"))


def test_varying_inputs():
    case = Case(InputBox.from_floats(np.array([0.0, 1.0]), np.array([1.0, 1.0])), ((constraint([(0, 1)]),),))
    assert lower(case, network(), Spec(2, 2, (case,))).varying.tolist() == [0]


def row_at(h, x):
    case, spec = make((h,))
    return float(lower(case, network(), spec).graph.evaluate(torch.tensor([x], dtype=torch.float64))[0, 0])


def test_terms_of_one_variable_are_added_exactly():
    huge = 10**17
    assert row_at(constraint([(0, huge), (0, 1), (0, -huge)], 0.5, x=[(0, huge), (0, -huge)]), [-1.0, 0.0]) == -0.5


@pytest.mark.parametrize("exponent", [-1100, -500, 500, 4000])
def test_rows_beyond_float64_keep_their_sign(exponent):
    """An overflow was a traceback; underflow lost a coefficient and left its constant, a wrong proof."""
    unit = Fraction(2) ** exponent
    above, below = constraint([(0, -unit)], 3 * unit), constraint([(0, -unit)], unit)
    assert 0 < row_at(above, [1.0, 1.0]) < 4 and -4 < row_at(below, [1.0, 1.0]) < 0


@pytest.mark.parametrize(("h", "message"), [
    (constraint([(2, 1)], x=[(0, 1)]), "reads Y_2; there are Y_0 to Y_1"), (constraint([(-1, 1)]), "reads Y_-1"),
    (constraint([], x=[(2, 1)]), "reads X_2"), (constraint([], x=[(-1, 1)]), "reads X_-1"),
])
def test_indices_out_of_range_are_named_not_taken_for_other_variables(h, message):
    case, spec = make((h,))
    with pytest.raises(InvalidInput, match=message):
        lower(case, network(), spec)
