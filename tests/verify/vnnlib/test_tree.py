"""Positions become places."""

from verify.vnnlib.tree import Assertions, Text


def test_places():
    assert Text("f", "a\nb").where(2) == "f:2"
    made = Assertions("f", 1, 1, (), str, "{}_{}".format, str)
    assert made.name("X", 3) == "X_3" and not made.polynomial and not made.tighten
