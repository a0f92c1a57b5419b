"""Syntax tree -> `Spec`: boxes x disjunctions of conjunctions of `h(x, y) <= 0`.

The assertions are conjoined and brought into disjunctive normal form

    (limits and rows of the plain asserts)  and  OR_k (limits_k and rows_k),

multiplying the `or`s out. Constraints on a single X are limits and make the box of their conjunction; all others are
rows. Conjunctions with the same box form one `Case`: a union of input boxes stays a union, never a hull. The rows of
the plain asserts belong to *every* disjunct. `a != b` is `a < b` or `b < a`. A product of variables is a monomial,
which a row reads like a further output. All arithmetic is exact.

A strict limit `X_i < c` closes the box (an outer bound loses nothing by it) and stays as a strict row as well, so that
a witness on the border does not count. With `Assertions.tighten` rows on inputs alone sharpen the boxes too, and those
that hold on a whole box are dropped there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from verify.errors import InvalidInput, UnsupportedSpec
from verify.query import Case, Disjunct, InputBox, LinearConstraint, Spec, enclose
from verify.vnnlib.forms import Factors, Forms
from verify.vnnlib.parser import Script
from verify.vnnlib.tighten import Limits, crossing, implied, never, tighten
from verify.vnnlib.tree import Assertions, Comparison, Constant, Formula, Term, Variable

MAX_CONJUNCTIONS = 1_000_000
MAX_ATOMS = 10_000_000


class Limit(NamedTuple):
    """X_index <= value (`upper`) or X_index >= value."""

    index: int
    upper: bool
    value: Fraction | Decimal


Atom = Limit | LinearConstraint
Rows = list[LinearConstraint]


def lower_script(script: Script) -> Spec:
    """The unsafe set of a VNN-LIB 1.0 file. Raises `InvalidInput` or `UnsupportedSpec` naming file and line."""
    return lower(Assertions(
        script.source, _count(script, "X"), _count(script, "Y"), script.asserts, script.where,
        lambda kind, index: f"{kind}_{index}", lambda index: script.where(script.declared["X", index]),
    ))


def lower(assertions: Assertions) -> Spec:
    """The unsafe set. Raises `InvalidInput` or `UnsupportedSpec` naming the place."""
    plain, choices = split(assertions.formulas)
    reader = _Reader(assertions)
    base, rows = _tightest(atom for comparison in plain for atom in reader.atoms(comparison))
    branches = [(own, rows + more) for own, more in map(_tightest, _expand(choices, reader))]
    if assertions.tighten:
        base = tighten(base, rows, reader.squares)
        branches = _tightened(assertions, base, branches, reader.squares)
    grouped: dict[frozenset, dict[Disjunct, None]] = {}
    for own, all_rows in branches:
        key = frozenset((at, v) for at, v in own.items() if at not in base or _tighter(at[1], v, base[at]) != base[at])
        grouped.setdefault(key, {})[tuple(dict.fromkeys(all_rows))] = None
    arrays = _arrays(base, assertions.inputs)
    cases = tuple(Case(_box(arrays, key, assertions), tuple(disjuncts)) for key, disjuncts in grouped.items())
    return Spec(assertions.inputs, assertions.outputs, cases, assertions.source, tuple(reader.monomials))


def _tightened(assertions: Assertions, base: Limits, branches: Iterable[tuple[Limits, Rows]], squares: dict[int, int]
               ) -> list[tuple[Limits, Rows]]:
    """The branches with the limits that their rows imply, without the rows that their limits imply. Branches without
    any input are left out; when none is left, the question is a mistake."""
    found: list[tuple[Limits, Rows]] = []
    culprit: int | None = None
    for own, rows in branches:
        joint = _tightest([*_limits(base), *_limits(own)])[0] if own else base
        limits = tighten(joint, rows, squares)
        crossed = crossing(limits)
        if crossed is None and not any(map(never, rows)):
            kept = [row for row in rows if not implied(limits, row)]
            found.append(({} if limits is base else limits, kept))
        culprit = crossed if culprit is None else culprit
    if found:
        return found
    if culprit is None:
        raise InvalidInput(f"{assertions.source}: the assertions contradict each other whatever the networks compute")
    raise InvalidInput(
        f"{assertions.declared(culprit)}: the conditions on the inputs contradict each other: no value is left for "
        f"{assertions.name('X', culprit)}")


def _count(script: Script, kind: str) -> int:
    """How many variables of a kind are declared; their indices must be 0, 1, 2, ..."""
    found = {index: at for (name, index), at in script.declared.items() if name == kind}
    if not found:
        what = "inputs" if kind == "X" else "outputs"
        raise InvalidInput(f"{script.source}: declares no {what}; expected (declare-const {kind}_0 Real)")
    last = max(found)
    if last + 1 != len(found):
        gap = next(k for k in range(last) if k not in found)
        raise InvalidInput(f"{script.where(found[last])}: {kind}_{last} is declared but {kind}_{gap} is not")
    return len(found)


def split(formulas: Iterable[Formula]) -> tuple[list[Comparison], list[Formula]]:
    """Conjoined formulas as comparisons, and choices: `or`s and `!=`s."""
    plain: list[Comparison] = []
    choices: list[Formula] = []
    for formula in formulas:
        if isinstance(formula, Comparison):
            (choices if formula.op == "!=" else plain).append(formula)
        elif formula.op == "or" and len(formula.args) > 1:
            choices.append(formula)
        else:
            inner = split(formula.args)
            plain += inner[0]
            choices += inner[1]
    return plain, choices


def _size(formula: Formula) -> tuple[int, int]:
    """Conjunctions of the disjunctive normal form, and the atoms in all of them together."""
    if isinstance(formula, Comparison):
        return (2, 2) if formula.op == "!=" else (1, 1)
    sizes = [_size(arg) for arg in formula.args]
    if formula.op == "or":
        return sum(n for n, _ in sizes), sum(a for _, a in sizes)
    return _product_size(sizes)


def _product_size(sizes: list[tuple[int, int]]) -> tuple[int, int]:
    count, atoms = 1, 0
    for n, a in sizes:
        count, atoms = count * n, atoms * n + a * count
    return count, atoms


def _expand(choices: list[Formula], reader: _Reader) -> list[tuple[Atom, ...]]:
    """The disjunctive normal form of the conjoined choices, refused when it would explode."""
    count, atoms = _product_size([_size(choice) for choice in choices])
    if count > MAX_CONJUNCTIONS or atoms > MAX_ATOMS:
        # The numbers can have thousands of digits; nobody wants to read more than their order.
        raise UnsupportedSpec(
            f"{reader.assertions.where(choices[-1].at)}: multiplying out the 'or's gives more than "
            f"{MAX_CONJUNCTIONS:,} conjunctions or {MAX_ATOMS:,} conditions; split the property into several files"
        )
    return _product([reader.normal_form(choice) for choice in choices])


def _product(factors: list[list[tuple[Atom, ...]]]) -> list[tuple[Atom, ...]]:
    result: list[tuple[Atom, ...]] = [()]
    for factor in factors:
        result = factor if result == [()] else [left + right for left in result for right in factor]
    return result


class _Reader:
    """Turns comparisons into atoms; collects the monomials that they read."""

    def __init__(self, assertions: Assertions) -> None:
        self.assertions, self.counts = assertions, {"X": assertions.inputs, "Y": assertions.outputs}
        self.forms = Forms(self.place, assertions.where, assertions.polynomial)
        self.monomials: dict[tuple[tuple[str, int], ...], int] = {}

    def normal_form(self, formula: Formula) -> list[tuple[Atom, ...]]:
        """Disjunctive normal form, one tuple of atoms per conjunction."""
        if isinstance(formula, Comparison):
            if formula.op == "!=":
                _, left, right, at = formula
                return [tuple(self.less(left, right, True, at)), tuple(self.less(right, left, True, at))]
            return [tuple(self.atoms(formula))]
        parts = [self.normal_form(arg) for arg in formula.args]
        return [c for part in parts for c in part] if formula.op == "or" else _product(parts)

    def atoms(self, comparison: Comparison) -> list[Atom]:
        """A comparison as limits or rows; none when it is always true."""
        op, left, right, at = comparison
        bounds_input = isinstance(left, Variable) and left.kind == "X" and isinstance(right, Constant)
        if bounds_input and op in ("<=", ">="):
            return [Limit(self.place(left), op == "<=", right.value)]
        if op in ("=", "=="):
            return [*self.less(left, right, False, at), *self.less(right, left, False, at)]
        if op[0] == ">":
            left, right = right, left
        return self.less(left, right, len(op) == 1, at)

    def less(self, left: Term, right: Term, strict: bool, at: int) -> list[Atom]:
        """left <= right (or <), as left - right <= 0."""
        total = self.forms.difference(left, right)
        constant = total.pop((), Fraction(0))
        x = tuple(sorted((factors[0][1], c) for factors, c in total.items() if _input(factors)))
        y = tuple(sorted((self.output(factors), c) for factors, c in total.items() if not _input(factors)))
        self.check_range([constant, *(c for _, c in x), *(c for _, c in y)], at)
        row = LinearConstraint(y, constant, x, strict)
        if y or len(x) > 1:
            return [row]
        if not x:
            return [] if constant < 0 or (constant == 0 and not strict) else [row]
        (index, slope), = x
        limit = Limit(index, slope > 0, -constant / slope)
        self.check_range([limit.value], at)
        return [limit, row] if strict else [limit]

    def output(self, factors: Factors) -> int:
        """The number by which a row reads an output or, behind the outputs, a monomial."""
        if len(factors) == 1:
            return factors[0][1]
        named = tuple((kind.lower(), index) for kind, index in factors)
        return self.assertions.outputs + self.monomials.setdefault(named, len(self.monomials))

    @property
    def squares(self) -> dict[int, int]:
        """The numbers by which rows read squares of inputs, with the inputs."""
        return {self.assertions.outputs + k: first[1] for (first, *rest), k in self.monomials.items()
                if first[0] == "x" and rest == [first]}

    def place(self, variable: Variable) -> int:
        """The index of a declared variable."""
        kind, index, at = variable
        if index >= self.counts[kind]:
            raise InvalidInput(f"{self.assertions.where(at)}: {self.assertions.name(kind, index)} is not declared "
                               f"(declared: {kind}_0 to {kind}_{self.counts[kind] - 1})")
        return index

    def check_range(self, numbers: Iterable[Fraction | Decimal], at: int) -> None:
        """Coefficients and limits must fit into float64, which everything behind this module computes in."""
        for number in numbers:
            try:
                fits = math.isfinite(float(number))
            except OverflowError:
                fits = False
            if not fits:
                raise InvalidInput(f"{self.assertions.where(at)}: a coefficient or limit of this comparison does not "
                                   "fit into float64")


def _input(factors: Factors) -> bool:
    """Whether a product is a single input."""
    return len(factors) == 1 and factors[0][0] == "X"


def _limits(limits: Limits) -> Iterable[Limit]:
    return (Limit(index, upper, value) for (index, upper), value in limits.items())


def _tightest(atoms: Iterable[Atom]) -> tuple[Limits, Rows]:
    """A conjunction's limits, the tightest per side, and its rows."""
    limits: Limits = {}
    rows: Rows = []
    for atom in atoms:
        if isinstance(atom, LinearConstraint):
            rows.append(atom)
            continue
        side = (atom.index, atom.upper)
        limits[side] = _tighter(atom.upper, atom.value, limits[side]) if side in limits else atom.value
    return limits, rows


def _tighter(upper: bool, one: Fraction | Decimal, other: Fraction | Decimal) -> Fraction:
    """The smaller of two upper limits, the larger of two lower ones."""
    return min(Fraction(one), Fraction(other)) if upper else max(Fraction(one), Fraction(other))


def _arrays(limits: Limits, inputs: int) -> np.ndarray:
    """Per input: outer lower, inner lower, inner upper, outer upper (i, 4); NaN where there is no limit."""
    arrays = np.full((inputs, 4), np.nan)
    _set(arrays, limits.items())
    return arrays


def _set(arrays: np.ndarray, limits: Iterable[tuple[tuple[int, bool], Fraction | Decimal]]) -> None:
    for (index, upper), value in limits:
        arrays[index, 2 * upper:2 * upper + 2] = enclose(value)


def _box(base: np.ndarray, own: frozenset, assertions: Assertions) -> InputBox:
    """The base box tightened by a conjunction's own limits; every input needs both limits."""
    arrays = base.copy()
    _set(arrays, own)
    missing = np.flatnonzero(np.isnan(arrays).any(1))
    if missing.size:
        index = int(missing[0])
        side, example = ("lower", ">=") if math.isnan(arrays[index, 0]) else ("upper", "<=")
        name = assertions.name("X", index)
        raise InvalidInput(
            f"{assertions.declared(index)}: {name} has no {side} bound; every input needs constant bounds in every "
            f"branch, as in (assert ({example} {name} 1.0))"
        )
    return InputBox(arrays[:, 0].copy(), arrays[:, 3].copy(), arrays[:, 1].copy(), arrays[:, 2].copy())
