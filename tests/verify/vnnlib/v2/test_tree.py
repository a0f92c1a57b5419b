"""A parsed text knows the line of a position."""

from verify.vnnlib.v2.tree import Element, Script


def test_lines():
    script = Script("f", "a\nb\nc", (), ())
    assert script.where(0) == "f:1" and script.where(4) == "f:3" and Element("X", (0,), 4).at == 4
