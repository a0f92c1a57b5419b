"""VNN-LIB 1.0 text -> the unsafe set as boxes x disjunctions of conjunctions, in exact rational numbers.

    statement := (declare-const V Real) | (assert formula) | housekeeping, ignored
    formula   := (and formula+) | (or formula+) | (CMP term term)        CMP := <= | < | >= | > | = | ==
    term      := V | number | (+ term+) | (- term+) | (* term+)          V   := X_i | Y_i

An input (x, y) is unsafe when all assertions hold. Strict comparisons are read as non-strict ones: the set only grows,
and what is proved of the closed set holds for the open one. A comparison is brought to h <= 0 with h linear. If h reads
exactly one X and no Y it is a *limit* of the box; if it reads nothing it is dropped when true; all else is a `Row`.

Order, which proofs refer to: assertions whose normal form is one conjunction come first; the others are multiplied out,
the first of them varying slowest, everything in textual order. Conjunctions with equal boxes form one `Case`, in the
order of their first appearance. Equal rows of a conjunction and equal conjunctions of a case count once, at their first
place.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, product
from typing import NamedTuple, NoReturn

from verify.certificate.checker.errors import Rejected

MAX_DEPTH = 200
MAX_CONJUNCTIONS = 200_000
MAX_CONDITIONS = 10_000_000

# Every character is in some token or is white space. The last alternative is a quote that is never closed.
_TOKEN = re.compile(r'[()]|[^\s();"|]+|;[^\r\n]*|"[^"]*"|\|[^|]*\||["|]')
_VARIABLE = re.compile(r"([XY])_(0|[1-9][0-9]{0,8})")
# Fixed lengths: the exact value of a longer exponent would not fit into memory.
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,1000}\.?[0-9]{0,1000}|\.[0-9]{1,1000})(?:[eE][+-]?[0-9]{1,4})?")
_IGNORED = frozenset({"set-logic", "set-info", "set-option", "check-sat", "get-model", "get-value", "exit"})

Name = tuple[str, int]  # ("X", i) or ("Y", i)
Form = dict[Name | None, Fraction]  # a linear form; None is the constant


class Row(NamedTuple):
    """h = sum y[k] Y_k + sum x[k] X_k + constant, unsafe where h <= 0. Indices ascend; no coefficient is zero."""

    y: tuple[tuple[int, Fraction], ...]
    x: tuple[tuple[int, Fraction], ...]
    constant: Fraction


@dataclass(frozen=True)
class Case:
    """lower[i] <= X_i <= upper[i] (possibly crossed: then the box is empty), and the disjunction that is unsafe on it.

    A disjunct is a conjunction of rows; the empty conjunction is always true.
    """

    lower: tuple[Fraction, ...]
    upper: tuple[Fraction, ...]
    disjuncts: tuple[tuple[Row, ...], ...]


@dataclass(frozen=True)
class Property:
    """The unsafe set, a union of cases; `inputs` and `outputs` are the numbers of declared X and Y."""

    inputs: int
    outputs: int
    cases: tuple[Case, ...]


def read_spec(text: str | bytes) -> Property:
    """The unsafe set of a VNN-LIB 1.0 text (bytes: UTF-8). Raises `Rejected` naming the line."""
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise Rejected(f"property: not a text, byte {error.start} is not UTF-8") from error
    declared: dict[Name, int] = {}
    asserts: list[_Group] = []
    for group in _groups(text):
        _statement(group, declared, asserts)
    counts = {kind: _count(declared, kind) for kind in "XY"}
    return Property(counts["X"], counts["Y"], tuple(_cases(asserts, counts)))


def enclose(value: Fraction) -> tuple[float, float]:
    """The largest float64 at or below an exact number and the smallest at or above it; both finite, or `Rejected`."""
    try:
        near = float(value)
    except OverflowError:
        near = math.inf
    below = near if near <= value else math.nextafter(near, -math.inf)
    above = near if near >= value else math.nextafter(near, math.inf)
    if not (math.isfinite(below) and math.isfinite(above)):
        raise Rejected("property: a number does not fit into float64 (magnitude above 1.8e308)")
    return below, above


class _Group(NamedTuple):
    """A parenthesised list of words and groups, and the line of its parenthesis."""

    line: int
    items: list


Conjunction = tuple[Row, ...]
Limits = dict[tuple[int, bool], Fraction]  # (index, True): X_index <= value; (index, False): X_index >= value


def _fail(line: int, message: str) -> NoReturn:
    raise Rejected(f"property, line {line}: {message}")


def _groups(text: str) -> list[_Group]:
    """The statements of a text."""
    stack = [_Group(1, [])]
    line, seen = 1, 0
    for token in _TOKEN.finditer(text):
        word, at = token[0], token.start()
        line, seen = line + text.count("\n", seen, at), at
        if word == "(":
            if len(stack) > MAX_DEPTH:
                _fail(line, f"nested deeper than {MAX_DEPTH} parentheses")
            group = _Group(line, [])
            stack[-1].items.append(group)
            stack.append(group)
        elif word == ")":
            if len(stack) == 1:
                _fail(line, "a closing parenthesis without an opening one")
            stack.pop()
        elif word in ('"', "|"):
            _fail(line, "a quote that is never closed")
        elif word[0] != ";":
            if len(stack) == 1:
                _fail(line, f"{word[:40]!r} outside a statement")
            stack[-1].items.append(word)
    if len(stack) > 1:
        _fail(stack[1].line, "the parenthesis opened here is never closed")
    return stack[0].items


def _statement(group: _Group, declared: dict[Name, int], asserts: list[_Group]) -> None:
    """Files one statement under declarations (name -> line) or assertions."""
    head, *rest = group.items or [None]
    if head == "assert" and len(rest) == 1:
        asserts.append(group)
    elif head == "declare-const" and len(rest) == 2 and rest[1] == "Real" and isinstance(rest[0], str):
        name = _VARIABLE.fullmatch(rest[0])
        if name is None or (name[1], int(name[2])) in declared:
            _fail(group.line, f"{rest[0][:40]!r} is declared twice, or is not named X_i or Y_i")
        declared[name[1], int(name[2])] = group.line
    elif not (isinstance(head, str) and head in _IGNORED) and group.items != ["vnnlib-version", "<1.0>"]:
        _fail(group.line, "cannot read this statement; accepted: (declare-const X_0 Real) and (assert condition)")


def _count(declared: dict[Name, int], kind: str) -> int:
    """How many variables of a kind there are; their indices must be 0, 1, 2, ..."""
    indices = {index for name, index in declared if name == kind}
    if not indices or max(indices) + 1 != len(indices):
        raise Rejected(f"property: the declarations of {kind} are not {kind}_0, {kind}_1, ... without a gap")
    return len(indices)


def _parts(item: _Group | str, line: int) -> tuple[str, list, int]:
    """Operator, operands and line of a formula or compound term."""
    if isinstance(item, str) or len(item.items) < 2 or not isinstance(item.items[0], str):
        _fail(line, "expected an operator and its operands in parentheses, as in (<= X_0 1.0)")
    return item.items[0], item.items[1:], item.line


def _normal_form(item: _Group | str, line: int, counts: dict[str, int]) -> list[Conjunction]:
    """The disjunctive normal form of a formula, in textual order."""
    op, args, line = _parts(item, line)
    if op in ("and", "or"):
        forms = [_normal_form(arg, line, counts) for arg in args]
        return [c for form in forms for c in form] if op == "or" else _product(forms, line)
    if op not in ("<=", "<", ">=", ">", "=", "==") or len(args) != 2:
        _fail(line, f"cannot read the condition {op[:40]!r}; accepted: and, or, and two terms with <= < >= > = ==")
    left, right = (_term(arg, line, counts) for arg in args)
    ordered = {"<": [(left, right)], ">": [(right, left)]}.get(op[0], [(left, right), (right, left)])
    return [tuple(row for small, large in ordered for row in _row(_sum([(small, 1), (large, -1)])))]


def _term(item: _Group | str, line: int, counts: dict[str, int]) -> Form:
    """A term as a linear form."""
    if isinstance(item, str):
        if name := _VARIABLE.fullmatch(item):
            if int(name[2]) >= counts[name[1]]:
                _fail(line, f"{item} is not declared (declared: {name[1]}_0 to {name[1]}_{counts[name[1]] - 1})")
            return {(name[1], int(name[2])): Fraction(1)}
        if not _NUMBER.fullmatch(item):
            _fail(line, f"{item[:40]!r} is neither a number nor a variable X_i or Y_i")
        return {None: Fraction(item)}
    op, args, line = _parts(item, line)
    forms = [_term(arg, line, counts) for arg in args]
    if op == "*":
        return _times(forms, line)
    if op not in ("+", "-"):
        _fail(line, f"unknown operator {op[:40]!r} in a term; accepted: +, -, *")
    sign = 1 if op == "+" else -1
    return _sum([(forms[0], sign if len(forms) == 1 else 1), *((form, sign) for form in forms[1:])])


def _sum(forms: Iterable[tuple[Form, int | Fraction]]) -> Form:
    """sum of factor * form."""
    total: Form = {}
    for form, factor in forms:
        for key, value in form.items():
            total[key] = total.get(key, 0) + value * factor
    return total


def _times(forms: list[Form], line: int) -> Form:
    """The product of forms of which at most one is not constant."""
    varying = [form for form in forms if any(key and c for key, c in form.items())]
    if len(varying) > 1:
        _fail(line, "a product of variables; accepted: constants times one term")
    factor = math.prod(form.get(None, 0) for form in forms if form not in varying)
    return _sum([(varying[0] if varying else {None: Fraction(1)}, factor)])


def _row(form: Form) -> Conjunction:
    """form <= 0 as a row, or nothing where it is always true."""
    constant = Fraction(form.pop(None, 0))
    y, x = (tuple(sorted((key[1], c) for key, c in form.items() if key[0] == kind and c != 0)) for kind in "YX")
    return (Row(y, x, constant),) if x or y or constant > 0 else ()


def _product(forms: list[list[Conjunction]], line: int) -> list[Conjunction]:
    """The conjunction of normal forms, multiplied out, the first varying slowest; refused before it explodes."""
    count = math.prod(map(len, forms))
    size = sum(count // len(form) * sum(map(len, form)) for form in forms)
    if count > MAX_CONJUNCTIONS or size > MAX_CONDITIONS:
        _fail(line, f"multiplying out the 'or's gives more than {MAX_CONJUNCTIONS:,} conjunctions")
    return [tuple(chain.from_iterable(parts)) for parts in product(*forms)]


def _cases(asserts: list[_Group], counts: dict[str, int]) -> Iterator[Case]:
    """The cases of the conjoined assertions."""
    forms = [_normal_form(group.items[1], group.line, counts) for group in asserts]
    base, rows = _separate(chain.from_iterable(form[0] for form in forms if len(form) == 1), {})
    grouped: dict[tuple, dict[Conjunction, None]] = {}
    last = asserts[-1].line if asserts else 1
    for conjunction in _product([form for form in forms if len(form) > 1], last):
        own, more = _separate(conjunction, base)
        grouped.setdefault(tuple(sorted(own.items())), {})[tuple(dict.fromkeys(rows + more))] = None
    sides = [[(index, upper) for index in range(counts["X"])] for upper in (False, True)]
    for own, disjuncts in grouped.items():
        limits = base | dict(own)
        for index, upper in chain(*sides):
            if (index, upper) not in limits:
                _fail(last, f"X_{index} has no constant {'upper' if upper else 'lower'} bound in some conjunction")
        yield Case(*(tuple(limits[side] for side in both) for both in sides), tuple(disjuncts))


def _separate(conjunction: Iterable[Row], base: Limits) -> tuple[Limits, list[Row]]:
    """A conjunction's limits as far as they are tighter than those of `base`, and its other rows."""
    limits: Limits = {}
    rows: list[Row] = []
    for row in conjunction:
        if row.y or len(row.x) != 1:
            rows.append(row)
            continue
        (index, slope), = row.x
        value, upper = -row.constant / slope, slope > 0
        known = limits.get((index, upper), base.get((index, upper)))
        if known is None or (value < known if upper else value > known):
            limits[index, upper] = value
    return limits, rows
