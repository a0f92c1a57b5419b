"""Questions as text say exactly what was asked, and errors are never verdicts."""

from fractions import Fraction

import pytest

from benchmarks.soundness.questions import Answer, ask, decimal, spec_text
from tests.soundness.nets import case, dense, row
from tests.soundness.random_networks import problem
from verify.query import Spec
from verify.vnnlib import parse_spec

IDENTITY = dense([([[1.0]], [0.0])])


@pytest.mark.parametrize("value, text", [
    (Fraction(0), "0"), (Fraction(-3), "-3"), (Fraction(1, 8), "0.125"), (Fraction(-1, 10), "-0.1"),
    (Fraction(25, 2), "12.5"), (Fraction(0.1), "0.1000000000000000055511151231257827021181583404541015625"),
])
def test_decimals_are_exact(value, text):
    assert decimal(value) == text and Fraction(text) == value


def test_a_third_is_no_decimal():
    with pytest.raises(ValueError, match="1/3"):
        decimal(Fraction(1, 3))


def normal(spec: Spec) -> dict:
    """Box -> its disjuncts as sets of rows, every row divided by its largest number."""
    found: dict = {}
    for part in spec.cases:
        box = tuple(part.box.lower), tuple(part.box.upper)
        found.setdefault(box, set()).update(frozenset(map(normal_row, disjunct)) for disjunct in part.disjuncts)
    return found


def normal_row(h) -> tuple:
    largest = max(abs(c) for c in (h.constant, *(c for _, c in h.y + h.x)))
    terms = [frozenset((k, c / largest) for k, c in part) for part in (h.y, h.x)]
    return (*terms, h.constant / largest, h.strict)


@pytest.mark.parametrize("seed", range(24))
def test_text_is_read_back_as_the_same_property(seed):
    spec = problem(seed).spec
    back = parse_spec(spec_text(spec))
    assert (back.inputs, back.outputs) == (spec.inputs, spec.outputs)
    assert normal(back) == normal(spec)


def test_answers():
    spec = Spec(1, 1, (case([0], [1], [row({0: 1}, -2)]),), "by hand")
    assert ask(IDENTITY, spec, "bab", 5.0).verdict == "sat"
    assert ask(IDENTITY, Spec(1, 1, (case([0], [1], [row({0: 1}, 2)]),)), "crown", 5.0).verdict == "unsat"
    assert ask(b"no model", spec, "bab", 5.0).verdict == "error InvalidInput"
    assert Answer("unsat").contradicts(True) and Answer("sat").contradicts(False)
    assert not any(Answer(v).contradicts(violated) for v in ("unknown", "timed-out", "error") for violated in (0, 1))
