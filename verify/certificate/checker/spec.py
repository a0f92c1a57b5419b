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
from types import MappingProxyType
from typing import NamedTuple

from verify.certificate.checker.errors import Rejected, require

MAX_DEPTH = 200
MAX_CONJUNCTIONS = 200_000
MAX_CONDITIONS = 10_000_000

# Every character is in some token or is white space. The last alternative is a quote that is never closed.
_TOKEN = re.compile(r'[()]|[^\s();"|]+|;[^\r\n]*|"[^"]*"|\|[^|]*\||["|]')
_VARIABLE = re.compile(r"([XY])_(0|[1-9][0-9]{0,8})")
# Fixed lengths: the exact value of a longer exponent would not fit into memory.
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,1000}\.?[0-9]{0,1000}|\.[0-9]{1,1000})(?:[eE][+-]?[0-9]{1,4})?")
_IGNORED = frozenset({"set-logic", "set-info", "set-option", "check-sat", "get-model", "get-value", "exit"})
# The signs with which left - right <= 0 is unsafe.
_SIGNS = MappingProxyType({"<=": (1,), "<": (1,), ">=": (-1,), ">": (-1,), "=": (1, -1), "==": (1, -1)})

Name = tuple[str, int]  # ("X", i) or ("Y", i)
Declared = dict[str, Name]
Form = dict[Name | None, Fraction | int]  # a linear form; None is the constant
Limits = dict[tuple[int, bool], Fraction]  # (index, True): X_index <= value; (index, False): X_index >= value


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


Conjunction = tuple[Row, ...]


def read_spec(text: str | bytes) -> Property:
    """The unsafe set of a VNN-LIB 1.0 text (bytes: UTF-8). Raises `Rejected` naming the line of the statement."""
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise Rejected(f"property: not a text, byte {error.start} is not UTF-8") from error
    declared: Declared = {}
    forms: list[list[Conjunction]] = []
    for line, statement in _statements(text):
        try:
            _read(statement, declared, forms)
        except Rejected as error:
            raise Rejected(f"property, line {line}: {error}") from None
    inputs, outputs = ([index for name, index in declared.values() if name == kind] for kind in "XY")
    require(all(sorted(indices) == [*range(max(1, len(indices)))] for indices in (inputs, outputs)),
            "property: the declarations of X or Y are not X_0, X_1, ... and Y_0, Y_1, ... without a gap")
    return Property(len(inputs), len(outputs), tuple(_cases(forms, len(inputs))))


def enclose(value: Fraction) -> tuple[float, float]:
    """The largest float64 at or below an exact number and the smallest at or above it; both finite, or `Rejected`."""
    try:
        near = value.numerator / value.denominator  # the nearest
        top, bottom = near.as_integer_ratio()
    except OverflowError:
        raise Rejected("property: a number does not fit into float64") from None
    excess = top * value.denominator - value.numerator * bottom
    below = near if excess <= 0 else math.nextafter(near, -math.inf)
    above = near if excess >= 0 else math.nextafter(near, math.inf)
    require(math.isfinite(below) and math.isfinite(above), "property: a number does not fit into float64")
    return below, above


def _statements(text: str) -> Iterator[tuple[int, list]]:
    """The statements of a text as lists of words and lists, with the line of each."""
    stack: list[list] = []
    line, seen = 1, 0
    for token in _TOKEN.finditer(text):
        word = token[0]
        if word == "(":
            if not stack:
                line, seen = line + text.count("\n", seen, token.start()), token.start()
            stack.append([])
        elif word[0] == ";":
            continue
        elif not stack or len(stack) > MAX_DEPTH or word in ('"', "|"):
            line += text.count("\n", seen, token.start())
            raise Rejected(f"property, line {line}: {word[:40]!r} outside a statement, nested deeper than {MAX_DEPTH} "
                           "parentheses, or a quote that is never closed")
        elif word != ")":
            stack[-1].append(word)
        elif len(stack) > 1:
            done = stack.pop()
            stack[-1].append(done)
        else:
            yield line, stack.pop()
    require(not stack, f"property, line {line}: the parenthesis opened here is never closed")


def _read(statement: list, declared: Declared, forms: list[list[Conjunction]]) -> None:
    """Files one statement under declarations or, in normal form, assertions."""
    match statement:
        case ["assert", formula]:
            forms.append(_normal_form(formula, declared))
        case ["declare-const", str(name), "Real"] if name not in declared and (found := _VARIABLE.fullmatch(name)):
            declared[name] = found[1], int(found[2])
        case ["vnnlib-version", "<1.0>"]:
            pass
        case [str(head), *_] if head in _IGNORED:
            pass
        case _:
            raise Rejected("cannot read this statement; accepted: (assert condition), and (declare-const X_0 Real) or "
                           "Y_0 and so on, each once")


def _parts(item: list | str) -> tuple[str, list]:
    """Operator and operands of a formula or compound term."""
    require(isinstance(item, list) and len(item) > 1 and isinstance(item[0], str),
            "expected an operator and its operands in parentheses, as in (<= X_0 1.0)")
    return item[0], item[1:]


def _normal_form(item: list | str, declared: Declared) -> list[Conjunction]:
    """The disjunctive normal form of a formula, in textual order."""
    op, args = _parts(item)
    if op in ("and", "or"):
        forms = [_normal_form(arg, declared) for arg in args]
        return list(chain.from_iterable(forms)) if op == "or" else _product(forms)
    require(op in _SIGNS and len(args) == 2, f"cannot read the condition {op[:40]!r}; accepted: and, or, <=, >=, =")
    left, right = (_term(arg, declared) for arg in args)
    return [tuple(chain.from_iterable(_row(_sum([left, right], [sign, -sign])) for sign in _SIGNS[op]))]


def _term(item: list | str, declared: Declared) -> Form:
    """A term as a linear form."""
    if isinstance(item, str):
        if item in declared:
            return {declared[item]: 1}
        require(_NUMBER.fullmatch(item), f"{item[:40]!r} is neither a number nor a variable that was declared before")
        return {None: Fraction(item)}
    op, args = _parts(item)
    forms = [_term(arg, declared) for arg in args]
    if op == "*":
        varying = [form for form in forms if any(key and c for key, c in form.items())]
        require(len(varying) < 2, "a product of variables; accepted: constants times one term")
        factor = math.prod(form.get(None, 0) for form in forms if form not in varying)
        return _sum(varying or [{None: 1}], [factor])
    require(op in ("+", "-"), f"unknown operator {op[:40]!r} in a term; accepted: +, -, *")
    sign = 1 if op == "+" else -1
    return _sum(forms, [sign if len(forms) == 1 else 1, *[sign] * (len(forms) - 1)])


def _sum(forms: list[Form], factors: list[Fraction | int]) -> Form:
    """The sum of factor * form."""
    total: Form = {}
    for form, factor in zip(forms, factors, strict=True):
        for key, value in form.items():
            total[key] = total.get(key, 0) + value * factor
    return total


def _row(form: Form) -> Conjunction:
    """form <= 0 as a row, or nothing where it is always true."""
    constant = Fraction(form.pop(None, 0))
    y, x = (tuple(sorted((key[1], Fraction(c)) for key, c in form.items() if key[0] == kind and c)) for kind in "YX")
    return (Row(y, x, constant),) if x or y or constant > 0 else ()


def _product(forms: list[list[Conjunction]]) -> list[Conjunction]:
    """The conjunction of normal forms, multiplied out, the first varying slowest; refused before it explodes."""
    count = math.prod(map(len, forms))
    size = sum(count // len(form) * sum(map(len, form)) for form in forms)
    require(count <= MAX_CONJUNCTIONS and size <= MAX_CONDITIONS,
            f"property: multiplying out the 'or's gives more than {MAX_CONJUNCTIONS:,} conjunctions")
    return [tuple(chain.from_iterable(parts)) for parts in product(*forms)]


def _cases(forms: list[list[Conjunction]], inputs: int) -> Iterator[Case]:
    """The cases of conjoined assertions."""
    base, rows = _separate(chain.from_iterable(form[0] for form in forms if len(form) == 1), {})
    grouped: dict[tuple, dict[Conjunction, None]] = {}
    for conjunction in _product([form for form in forms if len(form) > 1]):
        own, more = _separate(conjunction, base)
        grouped.setdefault(tuple(sorted(own.items())), {})[tuple(dict.fromkeys(rows + more))] = None
    for own, disjuncts in grouped.items():
        limits = base | dict(own)
        lower, upper = (tuple(limits.get((index, side)) for index in range(inputs)) for side in (False, True))
        missing = [f"X_{index}" for index in range(inputs) if lower[index] is None or upper[index] is None]
        require(not missing, f"property: no lower or no upper limit in some conjunction for {missing[:9]}")
        yield Case(lower, upper, tuple(disjuncts))


def _separate(conjunction: Iterable[Row], base: Limits) -> tuple[Limits, list[Row]]:
    """A conjunction's limits as far as they are tighter than those of `base`, and its other rows."""
    limits: Limits = {}
    rows: list[Row] = []
    for row in conjunction:
        if row.y or len(row.x) != 1:
            rows.append(row)
            continue
        (index, slope), = row.x
        value, side = -row.constant / slope, (index, slope > 0)
        known = limits.get(side, base.get(side))
        if known is None or (value < known if slope > 0 else value > known):
            limits[side] = value
    return limits, rows
