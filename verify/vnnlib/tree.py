"""The syntax tree that both versions of VNN-LIB, and statements built in Python, are brought to.

Variables are entries of two flat vectors: X, all inputs, and Y, all outputs. Every node keeps its character position
`at`, from which messages derive the line. Numbers are exact decimals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from verify.vnnlib.tokens import line_of


class Constant(NamedTuple):
    """A number, exactly as written."""

    value: Decimal
    at: int


class Variable(NamedTuple):
    """X_index (network input) or Y_index (network output); `kind` is "X" or "Y"."""

    kind: str
    index: int
    at: int


class Arithmetic(NamedTuple):
    """`op` is one of + - * over one or more terms."""

    op: str
    args: tuple[Term, ...]
    at: int


Term = Constant | Variable | Arithmetic


class Comparison(NamedTuple):
    """`op` is <=, <, >=, >, =, == or != (which only VNN-LIB 2.0 has)."""

    op: str
    left: Term
    right: Term
    at: int


class Junction(NamedTuple):
    """`op` is "and" or "or", over one or more formulas."""

    op: str
    args: tuple[Formula, ...]
    at: int


Formula = Comparison | Junction


@dataclass(frozen=True, eq=False)
class Text:
    """What a position in a text means to a reader."""

    source: str
    text: str

    def where(self, at: int) -> str:
        """`file:line` of a position."""
        return f"{self.source}:{line_of(self.text, at)}"


@dataclass(frozen=True, eq=False)
class Assertions:
    """What is asserted (all formulas hold at a counterexample), over how many variables, and how messages name things.

    `where(at)` names the place of a position, `name(kind, index)` a variable, `declared(index)` the place of an input's
    declaration. `polynomial`: products of variables are part of the language. `tighten`: conditions on inputs alone
    sharpen the limits of the inputs, and if they contradict each other in every branch, that is an error.
    """

    source: str
    inputs: int
    outputs: int
    formulas: tuple[Formula, ...]
    where: Callable[[int], str]
    name: Callable[[str, int], str]
    declared: Callable[[int], str]
    polynomial: bool = False
    tighten: bool = False
