"""Limits of inputs that follow from a bound on a sum of squares, such as a ball or an ellipsoid.

A row  sum_i (a_i x_i^2 + b_i x_i) + sum_j b_j x_j + d <= 0  with all a_i > 0 gives, for every i,

    (x_i - m_i)^2 <= r / a_i,    m_i = -b_i / (2 a_i),    r = -d + sum_i b_i^2 / (4 a_i) - sum_j min b_j x_j

with the minima over the limits of the x_j; exact but for the root, which is rounded outward.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

from verify.query import LinearConstraint

BITS = 128
"""Of the integer whose root is taken."""


class Quadratic(NamedTuple):
    """The coefficients of such a row: `square` by the inputs that occur squared, `linear` by all."""

    square: dict[int, Fraction]
    linear: dict[int, Fraction]
    constant: Fraction


def quadratic(row: LinearConstraint, squares: Mapping[int, int]) -> Quadratic | None:
    """The row as such a sum, or None; `squares`: by which number rows read the square of which input."""
    if not row.y or any(k not in squares or c <= 0 for k, c in row.y):
        return None
    return Quadratic({squares[k]: c for k, c in row.y}, dict(row.x), row.constant)


def ball_limits(form: Quadratic, limits: Mapping[tuple[int, bool], Fraction]) -> dict[tuple[int, bool], Fraction]:
    """The limits of the squared inputs; crossed ones if no point is left, none if a linear term has no minimum."""
    rest = -form.constant
    for k, b in form.linear.items():
        if k in form.square:
            rest += b * b / (4 * form.square[k])
        elif (k, b < 0) in limits:
            rest -= b * limits[k, b < 0]
        else:
            return {}
    found = {}
    for k, a in form.square.items():
        middle = -form.linear.get(k, Fraction(0)) / (2 * a)
        radius = root_above(rest / a) if rest >= 0 else Fraction(-1)
        found[k, False], found[k, True] = middle - radius, middle + radius
    return found


def root_above(value: Fraction) -> Fraction:
    """A number above or at the square root of value >= 0, and hardly larger."""
    if value == 0:
        return Fraction(0)
    bits = value.numerator.bit_length() - value.denominator.bit_length()
    shift = max(0, (BITS - bits + 1) // 2)
    scaled = value * 4**shift
    whole = -(-scaled.numerator // scaled.denominator)
    root = math.isqrt(whole)
    return Fraction(root if root * root == whole else root + 1, 2**shift)
