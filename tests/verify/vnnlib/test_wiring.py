"""Equalities of inputs, and the classes that they make."""

from fractions import Fraction

from verify.vnnlib.wiring import classes, equal_pair

ONE = Fraction(1)


def test_equal_pairs():
    a, b, y = (("X", 0),), (("X", 2),), (("Y", 2),)
    assert equal_pair({a: ONE, b: -ONE}) == (0, 2) and equal_pair({a: -3 * ONE, b: 3 * ONE}) == (0, 2)
    for form in ({a: ONE, b: ONE}, {a: ONE, b: -ONE, (): ONE}, {a: ONE, y: -ONE}, {a: ONE}, {}, {a + b: ONE, a: -ONE},
                 {a: ONE, b: Fraction(-1, 2)}):
        assert equal_pair(form) is None


def test_classes_are_numbered_by_their_first_members():
    assert classes(4, []) == (0, 1, 2, 3)
    assert classes(5, [(3, 1), (4, 3)]) == (0, 1, 2, 1, 1)
    assert classes(4, [(0, 1), (1, 2), (2, 0), (3, 3)]) == (0, 0, 0, 1)
