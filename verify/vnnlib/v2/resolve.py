"""Names, indices and types of a VNN-LIB 2.0 text are looked up: what is left are assertions over flat X and Y.

Rules of the standard that are checked here: a variable is declared before it is used and has all its indices, each in
range; both sides of a comparison, and all parts of a term, have one element type, numbers included: a decimal belongs
to a floating-point type or `real`, an integer to an integer type.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import NoReturn

from verify.errors import InvalidInput
from verify.interface import Declaration, Span, Tensor, spans
from verify.query import Spec
from verify.vnnlib.declarations import FLOATS, INTEGERS, checked
from verify.vnnlib.statement import statement
from verify.vnnlib.tree import Arithmetic, Comparison, Constant, Formula, Junction, Term, Variable
from verify.vnnlib.v2.tree import Element, Literal, Script

DECIMAL, INTEGER = "a decimal", "an integer"
"""The types of numbers until a variable next to them tells more."""


def resolve(script: Script) -> Spec:
    """The unsafe set of a parsed text. Raises `InvalidInput` or `UnsupportedSpec` naming file and line."""
    networks = checked(script.networks)
    resolver = _Resolver(script, networks)
    return statement(script.source, networks, tuple(map(resolver.formula, script.asserts)), script.where)


class _Resolver:
    """Replaces elements and literals by variables and constants, checking types on the way up."""

    def __init__(self, script: Script, networks: tuple[Declaration, ...]) -> None:
        self.script = script
        self.tensors: dict[str, tuple[Tensor, Span]] = {tensor.name: (tensor, span) for tensor, span in spans(networks)}

    def fail(self, at: int, message: str) -> NoReturn:
        raise InvalidInput(f"{self.script.where(at)}: {message}")

    def formula(self, formula: Formula) -> Formula:
        if isinstance(formula, Junction):
            return Junction(formula.op, tuple(map(self.formula, formula.args)), formula.at)
        op, left, right, at = formula
        (left, right), _ = self.joined((left, right), at)
        return Comparison(op, left, right, at)

    def joined(self, terms: tuple, at: int) -> tuple[list[Term], str]:
        """Terms that must have one type, and that type."""
        found = [self.term(term) for term in terms]
        kind = next((kind for _, kind in found if kind not in (DECIMAL, INTEGER)), found[0][1])
        fits = {DECIMAL} if kind in FLOATS else {INTEGER} if kind in INTEGERS else set()
        for _, other in found:
            if other != kind and other not in fits:
                hint = "; write it with a decimal point, as in 1.0" if other == INTEGER else ""
                self.fail(at, f"{other} meets {kind}; both sides must have one type{hint}")
        return [term for term, _ in found], kind

    def term(self, term: Element | Literal | Arithmetic) -> tuple[Term, str]:
        if isinstance(term, Literal):
            value = Decimal(term.text)
            if not math.isfinite(float(value)):
                self.fail(term.at, f"the number {term.text[:40]} does not fit into float64")
            return Constant(value, term.at), DECIMAL if "." in term.text else INTEGER
        if isinstance(term, Element):
            return self.element(term)
        args, kind = self.joined(term.args, term.at)
        return Arithmetic(term.op, tuple(args), term.at), kind

    def element(self, element: Element) -> tuple[Variable, str]:
        name, indices, at = element
        if name not in self.tensors:
            known = ", ".join(self.tensors)
            self.fail(at, f"{name!r} is not declared; declared: {known if len(known) < 200 else known[:200] + ' ...'}")
        tensor, span = self.tensors[name]
        if len(indices) != len(tensor.shape):
            self.fail(at, f"{name} has {len(tensor.shape)} dimensions but {len(indices)} indices; all are needed")
        flat = 0
        for k, (index, size) in enumerate(zip(indices, tensor.shape, strict=True)):
            if index >= size:
                self.fail(at, f"index {index} of {name} is out of range: dimension {k} has size {size}")
            flat = flat * size + index
        return Variable(span.kind, span.begin + flat, at), tensor.dtype
