"""Assertions about declared networks -> `Spec`: equal inputs become one, then the assertions are lowered.

The way of VNN-LIB 2.0 texts and of statements built in Python alike. Variables of the formulas are entries of all
declared inputs (X) and of Y as `verify.interface` lays them out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from verify.interface import Declaration, Interface, spans
from verify.query import Spec
from verify.vnnlib.forms import Forms
from verify.vnnlib.lowering import lower, split
from verify.vnnlib.tree import Arithmetic, Assertions, Comparison, Constant, Formula, Term, Variable
from verify.vnnlib.wiring import classes, equal_pair


def statement(source: str, networks: tuple[Declaration, ...], formulas: tuple[Formula, ...],
              where: Callable[[int], str]) -> Spec:
    """The unsafe set. Raises `InvalidInput` or `UnsupportedSpec` naming the place."""
    size = {"X": 0, "Y": 0}
    for _, span in spans(networks):
        size[span.kind] = span.end
    interface = Interface(networks, _wiring(size["X"], formulas, where))
    if interface.shared:
        formulas = tuple(_rewired(formula, interface.wiring) for formula in formulas)
    spec = lower(Assertions(
        source, max(interface.wiring) + 1, size["Y"], formulas, where, interface.entry,
        lambda index: interface.tensor_of("X", index).place or source, polynomial=True, tighten=True,
    ))
    return replace(spec, interface=interface)


def _wiring(count: int, formulas: tuple[Formula, ...], where: Callable[[int], str]) -> tuple[int, ...]:
    forms = Forms(lambda variable: variable.index, where, polynomial=True)
    plain, _ = split(formulas)
    pairs = (equal_pair(forms.difference(c.left, c.right)) for c in plain if c.op == "==")
    return classes(count, [pair for pair in pairs if pair is not None])


def _rewired(formula: Formula, wiring: tuple[int, ...]) -> Formula:
    """The formula over the inputs that are left."""
    if isinstance(formula, Comparison):
        return formula._replace(left=_term(formula.left, wiring), right=_term(formula.right, wiring))
    return formula._replace(args=tuple(_rewired(arg, wiring) for arg in formula.args))


def _term(term: Term, wiring: tuple[int, ...]) -> Term:
    if isinstance(term, Variable):
        return term._replace(index=wiring[term.index]) if term.kind == "X" else term
    if isinstance(term, Constant):
        return term
    return Arithmetic(term.op, tuple(_term(arg, wiring) for arg in term.args), term.at)
