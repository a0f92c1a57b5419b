"""Limits of inputs that follow from conditions on inputs alone, by interval propagation in exact arithmetic.

For a row  sum_k c_k x_k + d <= 0  and every j in it:   c_j x_j <= -d - sum_{k != j} min c_k x_k   over the limits of x.
Every limit found holds at every point that meets the old limits and the rows; nothing is lost, and repeating it only
finds more. Long fractions are shortened outward. Sums of squares bound their inputs as well (`verify.vnnlib.ball`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType

from verify.query import LinearConstraint
from verify.vnnlib.ball import Quadratic, ball_limits, quadratic

Limits = dict[tuple[int, bool], Fraction | Decimal]
"""(input, whether it is the upper limit) -> limit."""

ROUNDS = 50
WORTHWHILE = Fraction(1, 100)
"""A round that narrows no input by this share ends the search."""
BITS = 256


def tighten(limits: Limits, rows: Sequence[LinearConstraint], squares: Mapping[int, int] = MappingProxyType({})
            ) -> Limits:
    """The limits sharpened by `rows`, of which those that read outputs are left aside. They may cross: `crossing`.

    `squares`: by which number rows read the square of which input."""
    pure = [row for row in rows if row.x and not row.y]
    balls = [form for form in (quadratic(row, squares) for row in rows) if form is not None]
    if not pure and not balls:
        return limits
    found: Limits = {side: Fraction(value) for side, value in limits.items()}
    for _ in range(ROUNDS):
        # Lists: every row is to be looked at in every round.
        gained = [_sharpen(found, row) for row in pure] + [_sharpen_ball(found, form) for form in balls]
        if not any(gained) or crossing(found) is not None:
            break
    return found


def _sharpen_ball(limits: Limits, form: Quadratic) -> bool:
    return any([_improve(limits, k, upper, value) for (k, upper), value in ball_limits(form, limits).items()])


def crossing(limits: Limits) -> int | None:
    """An input whose lower limit exceeds its upper one."""
    return next((k for (k, upper), low in limits.items() if not upper and low > limits.get((k, True), low)), None)


def never(row: LinearConstraint) -> bool:
    """Whether a row without variables is false."""
    return not (row.x or row.y) and (row.constant > 0 or (row.constant == 0 and row.strict))


def implied(limits: Limits, row: LinearConstraint) -> bool:
    """Whether a row on inputs alone holds wherever the limits do."""
    if row.y or any((k, c > 0) not in limits for k, c in row.x):
        return False
    largest = row.constant + sum(c * Fraction(limits[k, c > 0]) for k, c in row.x)
    return largest < 0 or (largest == 0 and not row.strict)


def _sharpen(limits: Limits, row: LinearConstraint) -> bool:
    """Applies one row to the limits, in place; whether that was worthwhile."""
    least = {k: None if (k, c < 0) not in limits else c * limits[k, c < 0] for k, c in row.x}
    open_ = [k for k, value in least.items() if value is None]
    if len(open_) > 1:
        return False
    total = row.constant + sum(value for value in least.values() if value is not None)
    gained = False
    for j, c in row.x:
        if open_ and open_[0] != j:
            continue
        rest = total - (least[j] or 0)
        gained |= _improve(limits, j, c > 0, -rest / c)
    return gained


def _improve(limits: Limits, j: int, upper: bool, value: Fraction) -> bool:
    old, other = limits.get((j, upper)), limits.get((j, not upper))
    gain = None if old is None else (old - value if upper else value - old)
    if gain is not None and gain <= 0:
        return False
    limits[j, upper] = _shortened(value, upper)
    return gain is None or other is None or gain > WORTHWHILE * abs(old - other)


def _shortened(value: Fraction, up: bool) -> Fraction:
    """The value, or one with fewer digits above (`up`) or below it."""
    bits = max(value.numerator.bit_length(), value.denominator.bit_length())
    if bits <= BITS or value.numerator == 0:
        return value
    exponent = value.numerator.bit_length() - value.denominator.bit_length() - BITS // 2
    unit = Fraction(2) ** exponent
    scaled = value / unit
    return (-((-scaled) // 1) if up else scaled // 1) * unit
