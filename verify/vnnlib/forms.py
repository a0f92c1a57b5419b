"""Terms as polynomials with exact coefficients: a sum of  coefficient * product of variables.

A product of variables is the sorted tuple of its factors, with repetition, () for the constant term. Linear terms, all
there is in most files, are added up without intermediate polynomials.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import NoReturn

from verify.errors import UnsupportedSpec
from verify.vnnlib.tree import Arithmetic, Constant, Term, Variable

Factors = tuple[tuple[str, int], ...]
Polynomial = dict[Factors, Fraction]

MAX_PRODUCTS = 1_000_000
MAX_DEGREE = 64


class Forms:
    """Reads terms. `place(variable)` gives the index that a variable stands for, or raises; `where` names places."""

    def __init__(self, place: Callable[[Variable], int], where: Callable[[int], str], polynomial: bool) -> None:
        self.place, self.where, self.polynomial = place, where, polynomial

    def difference(self, left: Term, right: Term) -> Polynomial:
        """left - right without the terms that cancel."""
        total: Polynomial = {}
        self.accumulate(left, Fraction(1), total)
        self.accumulate(right, Fraction(-1), total)
        return {factors: c for factors, c in total.items() if c != 0}

    def accumulate(self, term: Term, scale: Fraction, total: Polynomial) -> None:
        """Adds scale * term to `total`."""
        if isinstance(term, Constant):
            total[()] = total.get((), Fraction(0)) + scale * Fraction(term.value)
        elif isinstance(term, Variable):
            key = ((term.kind, self.place(term)),)
            total[key] = total.get(key, Fraction(0)) + scale
        elif term.op == "*":
            for factors, c in self.product(term).items():
                total[factors] = total.get(factors, Fraction(0)) + scale * c
        else:
            first, *rest = term.args
            signed = -scale if term.op == "-" else scale
            self.accumulate(first, signed if not rest else scale, total)
            for arg in rest:
                self.accumulate(arg, signed, total)

    def product(self, term: Arithmetic) -> Polynomial:
        """The factors of a product, multiplied out."""
        result: Polynomial = {(): Fraction(1)}
        for arg in term.args:
            other: Polynomial = {}
            self.accumulate(arg, Fraction(1), other)
            if len(result) * len(other) > MAX_PRODUCTS:
                self.refuse(term.at, f"multiplying this product out gives more than {MAX_PRODUCTS:,} terms")
            multiplied: Polynomial = {}
            for a, c in result.items():
                for b, d in other.items():
                    key = tuple(sorted(a + b))
                    multiplied[key] = multiplied.get(key, Fraction(0)) + c * d
            result = {factors: c for factors, c in multiplied.items() if c != 0}
            degree = max(map(len, result), default=0)
            if degree > MAX_DEGREE:
                self.refuse(term.at, f"a product of more than {MAX_DEGREE} variables")
            if degree > 1 and not self.polynomial:
                self.refuse(term.at, "a product of variables; only constants times a variable are supported")
        return result

    def refuse(self, at: int, message: str) -> NoReturn:
        raise UnsupportedSpec(f"{self.where(at)}: {message}")
