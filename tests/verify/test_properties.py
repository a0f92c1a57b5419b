"""Properties built in Python: exact balls, the same meaning as their VNN-LIB text, and clear refusals."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from verify.errors import InvalidInput, ShapeMismatch
from verify.properties import linear, output_range, robustness, targeted
from verify.vnnlib import parse_spec


def test_robustness_is_the_vnnlib_text():
    spec = robustness(np.array([0.5, 0.25]), 0.25, label=1, outputs=3, clip=(0, 1))
    text = parse_spec("".join(f"(declare-const {v} Real)" for v in ("X_0", "X_1", "Y_0", "Y_1", "Y_2"))
                      + "(assert (<= X_0 0.75))(assert (>= X_0 0.25))(assert (<= X_1 0.5))(assert (>= X_1 0))"
                      + "(assert (or (and (>= Y_0 Y_1)) (and (>= Y_2 Y_1))))")
    assert spec.cases[0].disjuncts == text.cases[0].disjuncts
    assert (spec.inputs, spec.outputs) == (text.inputs, text.outputs)
    for name in ("lower", "upper", "inner_lower", "inner_upper"):
        assert np.array_equal(getattr(spec.cases[0].box, name), getattr(text.cases[0].box, name))


def test_ball_encloses_exactly():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=200), rng.normal(size=50) * 1e-9]).astype(np.float32)
    box = robustness(x, 0.1, 0, 2).cases[0].box
    for k, value in enumerate(x):
        low, high = Fraction(float(value)) - Fraction(0.1), Fraction(float(value)) + Fraction(0.1)
        assert Fraction(box.lower[k]) <= low <= Fraction(box.inner_lower[k])
        assert Fraction(box.inner_upper[k]) <= high <= Fraction(box.upper[k])
        for inner, outer in ((box.inner_lower[k], box.lower[k]), (box.inner_upper[k], box.upper[k])):
            assert inner == outer or np.nextafter(outer, inner) == inner


def test_ties_are_unsafe_and_points_outside_are_not():
    spec = robustness(torch.zeros(1, 2, requires_grad=True), 0.5, label=0, outputs=2)
    assert spec.unsafe(np.array([0.5, -0.5]), np.array([1.0, 1.0]))
    assert not spec.unsafe(np.array([0.5, 0.0]), np.array([1.0, 0.999]))
    assert not spec.unsafe(np.array([0.51, 0.0]), np.array([0.0, 1.0]))


def test_eps_per_entry_and_zero():
    box = robustness([1.0, 2.0], [0.0, 0.5], 0, 2).cases[0].box
    assert box.lower.tolist() == [1, 1.5] and box.upper.tolist() == [1, 2.5]


def test_targeted_looks_at_one_class():
    spec = targeted(torch.zeros(2), 1.0, label=2, target=0, outputs=3)
    x = np.zeros(2)
    assert spec.unsafe(x, np.array([1.0, 0, 1])) and not spec.unsafe(x, np.array([0.0, 9, 1]))
    assert spec.cases[0].disjuncts[0][0].y == ((0, Fraction(-1)), (2, Fraction(1)))


def test_output_range_is_closed():
    spec = output_range([0.0], [1.0], [-1.0, -np.inf], [2.0, 0.5])
    x = np.array([0.5])
    assert len(spec.cases[0].disjuncts) == 3
    assert not spec.unsafe(x, np.array([2.0, 0.5])) and not spec.unsafe(x, np.array([-1.0, -1e9]))
    assert spec.unsafe(x, np.array([-1.0000001, 0])) and spec.unsafe(x, np.array([0, 0.6]))


def test_linear_rows_must_be_positive():
    spec = linear(np.zeros((2, 2)), np.ones((2, 2)), torch.tensor([[1.0, -1.0], [0.0, 2.0]]), [0.5, 1.0])
    x = np.full(4, 0.5)
    assert (spec.inputs, spec.outputs, len(spec.cases[0].disjuncts)) == (4, 2, 2)
    assert not spec.unsafe(x, np.array([0.0, 0.25]))
    assert spec.unsafe(x, np.array([0.0, 0.5])) and spec.unsafe(x, np.array([0.0, -0.5]))


@pytest.mark.parametrize(("build", "message", "error"), [
    (lambda: robustness([0.0], -0.1, 0, 2), "eps must not be negative", InvalidInput),
    (lambda: robustness([0.0], float("nan"), 0, 2), "eps holds nan", InvalidInput),
    (lambda: robustness([0.0, np.nan], 0.1, 0, 2), "x holds nan at flat index 1", InvalidInput),
    (lambda: robustness([0.0, np.inf], 0.1, 0, 2), "x holds inf", InvalidInput),
    (lambda: robustness([], 0.1, 0, 2), "x is empty", ShapeMismatch),
    (lambda: robustness(["a"], 0.1, 0, 2), "x is not an array of numbers", InvalidInput),
    (lambda: robustness([0.0, 1.0], [0.1] * 3, 0, 2), "eps has 3 entries", ShapeMismatch),
    (lambda: robustness([0.0], 0.1, 2, 2), "label 2 is out of range; with 2 outputs it must be 0 to 1", InvalidInput),
    (lambda: robustness([0.0], 0.1, -1, 2), "label -1 is out of range", InvalidInput),
    (lambda: robustness([0.0], 0.1, 0, 1), "at least two outputs", InvalidInput),
    (lambda: robustness([3.0], 0.1, 0, 2, clip=(0, 1)), "more than eps outside clip", InvalidInput),
    (lambda: robustness([0.5], 0.1, 0, 2, clip=(1, 0)), "clip must be (lo, hi)", InvalidInput),
    (lambda: robustness([0.5], 0.1, 0, 2, clip=(0, 1, 2)), "clip must be (lo, hi)", InvalidInput),
    (lambda: robustness([1e308], 1e308, 0, 2), "too large", InvalidInput),
    (lambda: targeted([0.0], 0.1, 1, 1, 2), "they must differ", InvalidInput),
    (lambda: targeted([0.0], 0.1, 1, 5, 2), "target 5 is out of range", InvalidInput),
    (lambda: output_range([0.0], [1.0], [0.0], [1.0, 2.0]), "out_lower has 1 entries and out_upper 2", ShapeMismatch),
    (lambda: output_range([0.0], [1.0], [2.0], [1.0]), "out_lower exceeds out_upper at output 0", InvalidInput),
    (lambda: output_range([0.0], [1.0, 2.0], [0.0], [1.0]), "lower has shape [1], upper [2]", ShapeMismatch),
    (lambda: output_range([2.0], [1.0], [0.0], [1.0]), "lower exceeds upper at flat index 0", InvalidInput),
    (lambda: linear([0.0], [1.0], [1.0], [1.0]), "A must have shape (rows, outputs), got [1]", ShapeMismatch),
    (lambda: linear([0.0], [1.0], [[1.0]], [1.0, 2.0]), "A has 1 rows but b has 2", ShapeMismatch),
    (lambda: linear([0.0], [1.0], [[np.nan]], 0.0), "A holds nan", InvalidInput),
])
def test_refusals(build, message, error):
    with pytest.raises(error) as caught:
        build()
    assert message in str(caught.value) and "\n" not in str(caught.value)
