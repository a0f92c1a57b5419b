"""Numbers are what they are, and bad ones are named."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

from verify.errors import InvalidInput, ShapeMismatch
from verify.specs.numbers import floats, limits, radius, rational, rationals


def test_exact():
    assert rational(0.1, "n") == Fraction(0.1) != rational(Decimal("0.1"), "n") == Fraction(1, 10)
    assert rational(np.float32(0.1), "n") == Fraction(float(np.float32(0.1)))
    assert rationals(torch.tensor([[0.5, 1.0]]), "x").tolist() == [[Fraction(1, 2), Fraction(1)]]
    assert rationals([Decimal("0.1"), 2], "x").tolist() == [Fraction(1, 10), Fraction(2)]
    assert limits((Decimal("0.1"), 1), "l") == (Fraction(1, 10), Fraction(1))
    assert floats([[1, 0.5]], "x").tolist() == [[1.0, 0.5]] and floats(np.float32(3), "x").shape == ()


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: rational(float("inf"), "n"), InvalidInput, "n must be a finite number, got inf"),
    (lambda: rational(True, "n"), InvalidInput, "n must be a number, got True"),
    (lambda: radius(-0.5), InvalidInput, "eps must not be negative, got -0.5"),
    (lambda: limits(3, "l"), InvalidInput, "l must be a pair"), (lambda: limits((2, 1), "l"), InvalidInput, "low <= "),
    (lambda: rationals([[1], [1, 2]], "x"), ShapeMismatch, "x is not an array"),
    (lambda: rationals(["a"], "x"), InvalidInput, r"x\[0\] must be a number"),
    (lambda: floats([Decimal("0.1")], "x"), InvalidInput, "x holds 1/10, which is no floating-point number"),
    (lambda: floats([10**400], "x"), InvalidInput, "x holds a number beyond float64"),
    (lambda: floats(np.array([1.0, np.nan]), "x"), InvalidInput, r"x\[1\] must be a finite number, got nan"),
    (lambda: floats([1.0], "x", (2,)), ShapeMismatch, r"x has shape \[1\], expected \[2\]"),
])
def test_bad_numbers(make, error, message):
    with pytest.raises(error, match=message):
        make()
