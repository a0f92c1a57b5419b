"""Properties written in Python: declared networks, arithmetic on their tensors, comparisons, `&`, `|`, `~`.

    f = network("f", inputs={"X": (1, 2)}, outputs={"Y": (1, 3)})
    g = network("g", inputs={"U": (1, 2)}, outputs={"V": (1, 3)}, equal_to="f")
    X, Y, U, V = f["X"], f["Y"], g["U"], g["V"]
    monotone = spec([f, g], (X >= 0) & (X <= 1) & (U >= 0) & (U <= 1), X[0, 1] == U[0, 1], X[0, 0] <= U[0, 0],
                    Y[0, 0] > V[0, 0])

What is asserted describes a *counterexample*, as in VNN-LIB: the property holds when no inputs meet all assertions. The
`Spec` is the one that a VNN-LIB 2.0 text of the same meaning gives. Comparisons of arrays mean all their entries
(`!=`: that some entry differs); numpy's broadcasting and indexing apply. Numbers mean exactly what they are: a float is
the binary number it holds, `Decimal("0.1")` and `Fraction(1, 10)` are a tenth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from numbers import Rational
from types import MappingProxyType
from typing import NoReturn

import numpy as np

from verify.errors import InvalidInput
from verify.interface import HIDDEN, INPUT, OUTPUT, REAL, Declaration, Span, Tensor, spans
from verify.query import Spec
from verify.vnnlib.declarations import checked
from verify.vnnlib.statement import statement
from verify.vnnlib.tree import Arithmetic, Comparison, Constant, Formula, Junction, Term, Variable

Shape = tuple[int, ...]
SOURCE = "python"
OPPOSITE = MappingProxyType({"<=": ">", "<": ">=", ">=": "<", ">": "<=", "==": "!=", "!=": "=="})
NOWHERE = 0


class Expression:
    """An array of terms; a single one has shape ()."""

    __array_ufunc__ = None  # numpy arrays leave operations with this class to it
    __hash__ = None

    def __init__(self, terms: np.ndarray, name: str = "an expression") -> None:
        self.terms, self.name = terms, name

    @property
    def shape(self) -> Shape:
        return self.terms.shape

    def __getitem__(self, key) -> Expression:
        try:
            return Expression(_objects(self.terms[key]), f"an entry of {self.name}")
        except IndexError as error:
            raise InvalidInput(f"{self.name} of shape {list(self.shape)}: {error}") from error

    def sum(self) -> Expression:
        """The sum of all entries."""
        return Expression(_objects(Arithmetic("+", tuple(self.terms.reshape(-1)), NOWHERE)))

    def __add__(self, other) -> Expression:
        return _arithmetic("+", self, other)

    def __radd__(self, other) -> Expression:
        return _arithmetic("+", other, self)

    def __sub__(self, other) -> Expression:
        return _arithmetic("-", self, other)

    def __rsub__(self, other) -> Expression:
        return _arithmetic("-", other, self)

    def __mul__(self, other) -> Expression:
        return _arithmetic("*", self, other)

    def __rmul__(self, other) -> Expression:
        return _arithmetic("*", other, self)

    def __pow__(self, exponent: int) -> Expression:
        if not isinstance(exponent, int) or exponent < 1:
            raise InvalidInput(f"an exponent is a positive integer, got {exponent!r}")
        return Expression(_each(lambda term: Arithmetic("*", (term,) * exponent, NOWHERE), self.terms))

    def __neg__(self) -> Expression:
        return Expression(_each(lambda term: Arithmetic("-", (term,), NOWHERE), self.terms))

    def __le__(self, other) -> Condition:
        return _compare("<=", self, other)

    def __lt__(self, other) -> Condition:
        return _compare("<", self, other)

    def __ge__(self, other) -> Condition:
        return _compare(">=", self, other)

    def __gt__(self, other) -> Condition:
        return _compare(">", self, other)

    def __eq__(self, other) -> Condition:
        return _compare("==", self, other)

    def __ne__(self, other) -> Condition:
        return _compare("!=", self, other)


@dataclass(frozen=True)
class Condition:
    """Something that is asserted; `&`, `|` and `~` combine conditions."""

    formula: Formula

    def __and__(self, other: Condition) -> Condition:
        return _join("and", self, other)

    def __or__(self, other: Condition) -> Condition:
        return _join("or", self, other)

    def __invert__(self) -> Condition:
        return Condition(_negated(self.formula))

    def __bool__(self) -> NoReturn:
        raise InvalidInput("a condition on networks has no truth value: write & | ~ for and, or, not, and (a <= x) & "
                           "(x <= b) for a <= x <= b")


@dataclass(frozen=True)
class NetworkHandle:
    """A declared network; its tensors by name."""

    declaration: Declaration

    def __getitem__(self, name: str) -> Expression:
        found = next((t for t in self.declaration.tensors if t.name == name), None)
        if found is None:
            names = ", ".join(tensor.name for tensor in self.declaration.tensors)
            raise InvalidInput(f"network {self.declaration.name} has no tensor {name!r}; it has {names}")
        return Expression(_entries(found.shape, lambda flat: _Entry(self.declaration.name, name, flat)), name)


@dataclass(frozen=True)
class _Entry:
    """An entry of a declared tensor, until the networks of the property are known."""

    network: str
    tensor: str
    flat: int


def network(name: str, inputs: Mapping[str, Sequence[int]], outputs: Mapping[str, Sequence[int]],
            hidden: Mapping[str, tuple[str, Sequence[int]]] | None = None, *, dtype: str = REAL,
            equal_to: str | None = None, isomorphic_to: str | None = None) -> NetworkHandle:
    """Declares a network: shapes by tensor name, in the order of the model; `hidden`: the name of the value in the
    model, and its shape. `dtype`: real, or the element type of all tensors, such as float32."""
    if equal_to is not None and isomorphic_to is not None:
        raise InvalidInput(f"network {name} is equal to one network or isomorphic to one, not both")
    tensors = [Tensor(key, INPUT, dtype, _shape(key, shape), place=SOURCE) for key, shape in inputs.items()]
    tensors += [Tensor(key, HIDDEN, dtype, _shape(key, shape), value, SOURCE)
                for key, (value, shape) in (hidden or {}).items()]
    tensors += [Tensor(key, OUTPUT, dtype, _shape(key, shape), place=SOURCE) for key, shape in outputs.items()]
    if not inputs or not outputs:
        raise InvalidInput(f"network {name} needs at least one input and one output")
    return NetworkHandle(Declaration(name, tuple(tensors), equal_to, isomorphic_to, SOURCE))


def spec(networks: Iterable[NetworkHandle], *assertions: Condition) -> Spec:
    """The property that no inputs meet all `assertions`. Raises `InvalidInput` or `UnsupportedSpec`."""
    declared = checked(handle.declaration for handle in networks)
    if not assertions:
        raise InvalidInput("nothing is asserted; a property needs at least the bounds of its inputs")
    places = {tensor.name: span for tensor, span in spans(declared)}
    formulas = tuple(_placed(condition.formula, places) for condition in assertions)
    return statement(SOURCE, declared, formulas, lambda at: SOURCE)


def _shape(name: str, shape: Sequence[int]) -> Shape:
    found = tuple(int(size) for size in shape)
    if any(size < 1 for size in found):
        raise InvalidInput(f"{name} has shape {list(found)}; sizes are positive")
    return found


def _placed(formula: Formula, places: Mapping[str, Span]) -> Formula:
    if isinstance(formula, Comparison):
        return formula._replace(left=_term(formula.left, places), right=_term(formula.right, places))
    return formula._replace(args=tuple(_placed(arg, places) for arg in formula.args))


def _term(term: Term | _Entry, places: Mapping[str, Span]) -> Term:
    if isinstance(term, _Entry):
        if term.tensor not in places:
            raise InvalidInput(f"a condition reads {term.tensor} of network {term.network}, which is not among the "
                               "networks of the property")
        kind, begin, _ = places[term.tensor]
        return Variable(kind, begin + term.flat, NOWHERE)
    if isinstance(term, Arithmetic):
        return term._replace(args=tuple(_term(arg, places) for arg in term.args))
    return term


def _objects(value) -> np.ndarray:
    """An array of objects; tuples (terms are named tuples) stay single entries."""
    if isinstance(value, np.ndarray):
        return value
    single = np.empty((), dtype=object)
    single[()] = value
    return single


def _entries(shape: Shape, make: Callable[[int], object]) -> np.ndarray:
    found = np.empty(math.prod(shape), dtype=object)
    for flat in range(found.size):
        found[flat] = make(flat)
    return found.reshape(shape)


def _each(make: Callable, *arrays: np.ndarray) -> np.ndarray:
    """`make` applied to the entries of arrays of one shape."""
    flat = [array.reshape(-1) for array in arrays]
    return _entries(arrays[0].shape, lambda k: make(*(array[k] for array in flat)))


def _operand(value) -> np.ndarray:
    if isinstance(value, Expression):
        return value.terms
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    numbers = np.asarray(value)
    return _each(_constant, numbers if numbers.dtype == object else numbers.astype(object))


def _constant(number) -> Constant:
    if isinstance(number, (Decimal, float)) and not math.isfinite(number):
        raise InvalidInput(f"a number in a condition must be finite, got {number}")
    if isinstance(number, (Decimal, float, Rational)) and not isinstance(number, bool):
        return Constant(Fraction(number), NOWHERE)
    raise InvalidInput(f"a condition combines tensors and numbers, got {type(number).__name__}")


def _pair(left, right) -> tuple[np.ndarray, np.ndarray]:
    try:
        return tuple(np.broadcast_arrays(_operand(left), _operand(right)))
    except ValueError as error:
        raise InvalidInput(f"the shapes {[list(_operand(side).shape) for side in (left, right)]} do not broadcast"
                           ) from error


def _arithmetic(op: str, left, right) -> Expression:
    return Expression(_each(lambda a, b: Arithmetic(op, (a, b), NOWHERE), *_pair(left, right)))


def _compare(op: str, left, right) -> Condition:
    found = _each(lambda a, b: Comparison(op, a, b, NOWHERE), *_pair(left, right)).reshape(-1)
    if len(found) == 1:
        return Condition(found[0])
    return Condition(Junction("or" if op == "!=" else "and", tuple(found), NOWHERE))


def _join(op: str, left: Condition, right: Condition) -> Condition:
    if not isinstance(right, Condition):
        raise InvalidInput(f"& and | combine conditions, got {type(right).__name__}; comparisons need parentheses")
    args = [formula.args if isinstance(formula, Junction) and formula.op == op else (formula,)
            for formula in (left.formula, right.formula)]
    return Condition(Junction(op, (*args[0], *args[1]), NOWHERE))


def _negated(formula: Formula) -> Formula:
    """De Morgan, down to the opposite comparisons."""
    if isinstance(formula, Comparison):
        return formula._replace(op=OPPOSITE[formula.op])
    return Junction("and" if formula.op == "or" else "or", tuple(map(_negated, formula.args)), formula.at)
