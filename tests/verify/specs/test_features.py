"""What values a feature takes."""

from fractions import Fraction

import numpy as np
import pytest

from verify.errors import InvalidInput
from verify.specs.features import Choice, Fixed, Integer, OneHot, Range


@pytest.mark.parametrize("feature", [Integer("n", -1, 2), Choice("c", [0.5, 2, 7]), Fixed("f", 3),
                                     OneHot("h", "abc")])
def test_choices_are_held_and_nearest(feature):
    hull = feature.hull()
    for k in range(feature.choices):
        option = feature.option(k)
        assert feature.holds(option) and len(option) == len(feature.columns) == len(hull)
        assert all(low <= v <= high for v, (low, high) in zip(option, hull, strict=True))
        moved = np.array([float(v) for v in option]) + 0.1
        assert not feature.holds(moved) and feature.holds(feature.nearest(moved))
        np.testing.assert_array_equal(feature.nearest(moved), [float(v) for v in option])


def test_ranges_and_names():
    feature = Range("age", Fraction(1, 10), 1)
    assert feature.choices is None and feature.hull() == ((Fraction(1, 10), Fraction(1)),)
    assert feature.holds([Fraction(1, 10)]) and not feature.holds([0.0])
    home = OneHot("home", ["rent", "own"])
    assert home.columns == ("home=rent", "home=own") and home.text(np.array([0.0, 1.0])) == "home own"
    assert not home.holds([1.0, 1.0]) and not home.holds([0.5, 0.5])
    assert Integer("n", 0.5, 2.5).values == range(1, 3)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: Range("age", 2, 1), "age must be .low, high. with low <= high"),
    (lambda: Integer("n", 0.2, 0.8), "n: there is no integer from 0.2 to 0.8"),
    (lambda: Choice("c", []), "c has no values"), (lambda: OneHot("h", []), "h is an empty group"),
    (lambda: OneHot("h", ["a", "a"]), "h names a category twice"), (lambda: Choice("c", ["x"]), "c must be a number"),
    (lambda: Range("age", 0, 1).option(0), "age is an interval"),
])
def test_bad_input(make, message):
    with pytest.raises(InvalidInput, match=message):
        make()
