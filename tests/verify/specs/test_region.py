"""Rows of a region, as a `Spec` reads them."""

from fractions import Fraction

from verify.query import LinearConstraint
from verify.specs.region import NEVER_POSITIVE, Premise, Region, box_of, members_only, square

ONE = Fraction(1)


def test_rows_are_placed_behind_the_outputs():
    region = Region("r", (2,), ())
    row = LinearConstraint(((0, ONE), (2, ONE), (-1, ONE), (-3, ONE)), ONE, ((1, ONE),))
    assert [k for k, _ in region.placed(row, 5, 9).y] == [5, 7, 9, 11]
    premise = Premise(((0, ONE),), ONE, exactly=lambda p: p[0])
    placed = region.placed(premise, 5, 9)
    assert placed.y == ((5, ONE),) and placed.value([7], []) == 7 and isinstance(placed, Premise)


def test_membership_decides():
    row = members_only(lambda p: p[0] == 1)
    assert row.violated([1], []) and not row.violated([2], [])
    assert LinearConstraint(row.y, row.constant, row.x).value([2], []) == NEVER_POSITIVE < 0
    assert square(3) == (("x", 3), ("x", 3))


def test_boxes_enclose():
    box = box_of([(Fraction(1, 10), Fraction(3, 10))])
    assert Fraction(box.lower[0]) < Fraction(1, 10) < Fraction(box.inner_lower[0])
    assert Fraction(box.inner_upper[0]) < Fraction(3, 10) < Fraction(box.upper[0])
