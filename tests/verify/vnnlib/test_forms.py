"""Polynomial arithmetic is exact, checked by substitution."""

import random
from fractions import Fraction
from math import prod

import pytest

from verify.errors import UnsupportedSpec
from verify.vnnlib.forms import MAX_DEGREE, Forms
from verify.vnnlib.tree import Arithmetic, Constant, Variable

FORMS = Forms(lambda variable: variable.index, lambda at: f"f:{at}", polynomial=True)
ZERO = Constant(Fraction(0), 0)


def x(k):
    return Variable("X", k, 0)


def random_term(rng, depth=4):
    if depth == 0 or rng.random() < 0.3:
        return rng.choice([x(0), x(1), Variable("Y", 0, 0), Constant(Fraction(rng.randint(-3, 3), 7), 0)])
    return Arithmetic(rng.choice("+-*"), tuple(random_term(rng, depth - 1) for _ in range(rng.randint(1, 3))), 0)


def value(term, at):
    if isinstance(term, Constant):
        return term.value
    if isinstance(term, Variable):
        return at[term.kind, term.index]
    first, *rest = (value(arg, at) for arg in term.args)
    if term.op == "*":
        return prod(rest, start=first)
    return -first if term.op == "-" and not rest else first + (1 if term.op == "+" else -1) * sum(rest)


@pytest.mark.parametrize("seed", range(100))
def test_random_terms(seed):
    rng = random.Random(seed)
    left, right = random_term(rng), random_term(rng)
    form = FORMS.difference(left, right)
    for _ in range(5):
        at = {key: Fraction(rng.randint(-9, 9), rng.randint(1, 5)) for key in (("X", 0), ("X", 1), ("Y", 0))}
        assert value(left, at) - value(right, at) == sum(c * prod(at[f] for f in fs) for fs, c in form.items())
    assert all(c != 0 and list(fs) == sorted(fs) for fs, c in form.items())


def test_by_hand():
    square = Arithmetic("*", (Arithmetic("+", (x(0), x(1)), 0),) * 2, 0)
    a, b = ("X", 0), ("X", 1)
    assert FORMS.difference(square, ZERO) == {(a, a): 1, (a, b): 2, (b, b): 1}
    assert FORMS.difference(square, square) == {}


def test_limits_are_refused_by_place():
    high = Arithmetic("*", (x(0),) * (MAX_DEGREE + 1), 9)
    with pytest.raises(UnsupportedSpec, match="f:9: a product of more than 64 variables"):
        FORMS.difference(high, ZERO)
    wide = Arithmetic("*", (Arithmetic("+", tuple(map(x, range(1001))), 0),) * 2, 9)
    with pytest.raises(UnsupportedSpec, match="f:9: multiplying this product out gives more than 1,000,000 terms"):
        FORMS.difference(wide, ZERO)


def test_products_may_be_outside_the_language():
    forms = Forms(lambda variable: variable.index, lambda at: f"f:{at}", polynomial=False)
    with pytest.raises(UnsupportedSpec, match="f:9: a product of variables"):
        forms.difference(Arithmetic("*", (x(0), x(1)), 9), ZERO)
    two = Constant(Fraction(2), 0)
    assert forms.difference(Arithmetic("*", (two, Arithmetic("-", (x(0), two), 0)), 0), ZERO) == {
        (("X", 0),): 2, (): -4}
