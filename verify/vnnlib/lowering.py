"""Syntax tree -> `Spec`: boxes x disjunctions of conjunctions of `h(x, y) <= 0`.

The assertions are conjoined and brought into disjunctive normal form

    (limits and rows of the plain asserts)  and  OR_k (limits_k and rows_k),

multiplying the `or`s out. Constraints on a single X are limits and make the box of their conjunction; all others are
rows. Conjunctions with the same box form one `Case`: a union of input boxes stays a union, never a hull. The rows of
the plain asserts belong to *every* disjunct. All arithmetic is exact.

A strict limit `X_i < c` closes the box (an outer bound loses nothing by it) and stays as a strict row as well, so that
a witness on the border does not count.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple, NoReturn

import numpy as np

from verify.errors import InvalidInput, UnsupportedSpec
from verify.query import Case, Disjunct, InputBox, LinearConstraint, Spec, enclose
from verify.vnnlib.parser import Arithmetic, Comparison, Constant, Formula, Junction, Script, Term, Variable

MAX_CONJUNCTIONS = 1_000_000
MAX_ATOMS = 10_000_000


class Limit(NamedTuple):
    """X_index <= value (`upper`) or X_index >= value."""

    index: int
    upper: bool
    value: Fraction | Decimal


Atom = Limit | LinearConstraint
Limits = dict[tuple[int, bool], Fraction | Decimal]


def lower_script(script: Script) -> Spec:
    """The unsafe set of a parsed file. Raises `InvalidInput` or `UnsupportedSpec` naming file and line."""
    inputs, outputs = _count(script, "X"), _count(script, "Y")
    plain, choices = _split(script.asserts)
    reader = _Reader(script, {"X": inputs, "Y": outputs})
    base, rows = _tightest(atom for comparison in plain for atom in reader.atoms(comparison))
    conjunctions = _expand(choices, reader)
    base_arrays = _arrays(base, inputs)
    grouped: dict[frozenset, dict[Disjunct, None]] = {}
    for conjunction in conjunctions:
        own, more = _tightest(conjunction)
        key = frozenset((at, v) for at, v in own.items() if at not in base or _tighter(at[1], v, base[at]) != base[at])
        grouped.setdefault(key, {})[tuple(dict.fromkeys(rows + more))] = None
    cases = tuple(Case(_box(base_arrays, key, script), tuple(disjuncts)) for key, disjuncts in grouped.items())
    return Spec(inputs, outputs, cases, script.source)


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


def _split(formulas: Iterable[Formula]) -> tuple[list[Comparison], list[Junction]]:
    """Conjoined formulas as comparisons and `or`s."""
    plain: list[Comparison] = []
    choices: list[Junction] = []
    for formula in formulas:
        if isinstance(formula, Comparison):
            plain.append(formula)
        elif formula.op == "or" and len(formula.args) > 1:
            choices.append(formula)
        else:
            inner = _split(formula.args)
            plain += inner[0]
            choices += inner[1]
    return plain, choices


def _size(formula: Formula) -> tuple[int, int]:
    """Conjunctions of the disjunctive normal form, and the atoms in all of them together."""
    if isinstance(formula, Comparison):
        return 1, 1
    sizes = [_size(arg) for arg in formula.args]
    if formula.op == "or":
        return sum(n for n, _ in sizes), sum(a for _, a in sizes)
    return _product_size(sizes)


def _product_size(sizes: list[tuple[int, int]]) -> tuple[int, int]:
    count, atoms = 1, 0
    for n, a in sizes:
        count, atoms = count * n, atoms * n + a * count
    return count, atoms


def _expand(choices: list[Junction], reader: _Reader) -> list[tuple[Atom, ...]]:
    """The disjunctive normal form of the conjoined `or`s, refused when it would explode."""
    count, atoms = _product_size([_size(choice) for choice in choices])
    if count > MAX_CONJUNCTIONS or atoms > MAX_ATOMS:
        # The numbers can have thousands of digits; nobody wants to read more than their order.
        raise UnsupportedSpec(
            f"{reader.script.where(choices[-1].at)}: multiplying out the 'or's gives more than "
            f"{MAX_CONJUNCTIONS:,} conjunctions or {MAX_ATOMS:,} conditions; split the property into several files"
        )
    return _product([reader.normal_form(choice) for choice in choices])


def _product(factors: list[list[tuple[Atom, ...]]]) -> list[tuple[Atom, ...]]:
    result: list[tuple[Atom, ...]] = [()]
    for factor in factors:
        result = factor if result == [()] else [left + right for left in result for right in factor]
    return result


class _Reader:
    """Turns comparisons into atoms; knows the declared counts and, for messages, the text."""

    def __init__(self, script: Script, counts: dict[str, int]) -> None:
        self.script, self.counts = script, counts

    def fail(self, at: int, message: str, error: type[InvalidInput] | type[UnsupportedSpec] = InvalidInput) -> NoReturn:
        raise error(f"{self.script.where(at)}: {message}")

    def normal_form(self, formula: Formula) -> list[tuple[Atom, ...]]:
        """Disjunctive normal form, one tuple of atoms per conjunction."""
        if isinstance(formula, Comparison):
            return [tuple(self.atoms(formula))]
        parts = [self.normal_form(arg) for arg in formula.args]
        return [c for part in parts for c in part] if formula.op == "or" else _product(parts)

    def atoms(self, comparison: Comparison) -> list[Atom]:
        """A comparison as limits or rows; none when it is always true."""
        op, left, right, at = comparison
        bounds_input = isinstance(left, Variable) and left.kind == "X" and isinstance(right, Constant)
        if bounds_input and op in ("<=", ">="):
            self.check(left)
            return [Limit(left.index, op == "<=", right.value)]
        if op in ("=", "=="):
            return [*self.less(left, right, False, at), *self.less(right, left, False, at)]
        if op[0] == ">":
            left, right = right, left
        return self.less(left, right, len(op) == 1, at)

    def less(self, left: Term, right: Term, strict: bool, at: int) -> list[Atom]:
        """left <= right (or <), as left - right <= 0."""
        total: dict[tuple[str, int] | None, Fraction] = {}
        self.accumulate(left, Fraction(1), total)
        self.accumulate(right, Fraction(-1), total)
        constant = total.pop(None, Fraction(0))
        x, y = (
            tuple(sorted((k, c) for (kind, k), c in total.items() if kind == wanted and c != 0)) for wanted in "XY"
        )
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

    def accumulate(self, term: Term, scale: Fraction, total: dict[tuple[str, int] | None, Fraction]) -> None:
        """Adds scale * term to the linear form `total` (variable -> coefficient, None -> constant)."""
        if isinstance(term, Constant):
            total[None] = total.get(None, Fraction(0)) + scale * Fraction(term.value)
        elif isinstance(term, Variable):
            self.check(term)
            key = (term.kind, term.index)
            total[key] = total.get(key, Fraction(0)) + scale
        elif term.op == "*":
            variable, factor = self.factors(term)
            self.accumulate(variable, scale * factor, total)
        else:
            first, *rest = term.args
            signed = -scale if term.op == "-" else scale
            self.accumulate(first, signed if not rest else scale, total)
            for arg in rest:
                self.accumulate(arg, signed, total)

    def factors(self, product: Arithmetic) -> tuple[Term, Fraction]:
        """A product as one term times a constant; two factors that depend on variables are refused."""
        factor, variable = Fraction(1), Constant(Decimal(1), product.at)
        for arg in product.args:
            form: dict[tuple[str, int] | None, Fraction] = {}
            self.accumulate(arg, Fraction(1), form)
            if all(key is None or c == 0 for key, c in form.items()):
                factor *= form.get(None, Fraction(0))
            elif isinstance(variable, Constant):
                variable = arg
            else:
                self.fail(product.at, "a product of variables; only constants times a variable are supported",
                          UnsupportedSpec)
        return variable, factor

    def check(self, variable: Variable) -> None:
        if variable.index >= self.counts[variable.kind]:
            name, last = f"{variable.kind}_{variable.index}", self.counts[variable.kind] - 1
            self.fail(variable.at, f"{name} is not declared (declared: {variable.kind}_0 to {variable.kind}_{last})")

    def check_range(self, numbers: Iterable[Fraction | Decimal], at: int) -> None:
        """Coefficients and limits must fit into float64, which everything behind this module computes in."""
        for number in numbers:
            try:
                fits = math.isfinite(float(number))
            except OverflowError:
                fits = False
            if not fits:
                self.fail(at, "a coefficient or limit of this comparison does not fit into float64")


def _tightest(atoms: Iterable[Atom]) -> tuple[Limits, list[LinearConstraint]]:
    """A conjunction's limits, the tightest per side, and its rows."""
    limits: Limits = {}
    rows: list[LinearConstraint] = []
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


def _box(base: np.ndarray, own: frozenset, script: Script) -> InputBox:
    """The base box tightened by a conjunction's own limits; every input needs both limits."""
    arrays = base.copy()
    _set(arrays, own)
    missing = np.flatnonzero(np.isnan(arrays).any(1))
    if missing.size:
        index = int(missing[0])
        side, example = ("lower", ">=") if math.isnan(arrays[index, 0]) else ("upper", "<=")
        raise InvalidInput(
            f"{script.where(script.declared['X', index])}: X_{index} has no {side} bound; every input needs constant "
            f"bounds in every branch, as in (assert ({example} X_{index} 1.0))"
        )
    return InputBox(arrays[:, 0].copy(), arrays[:, 3].copy(), arrays[:, 1].copy(), arrays[:, 2].copy())
