"""Sets of inputs beyond boxes: unions of pieces {p : p in a box, rows h(p) <= 0 hold}, mapped to the model's input.

What p is depends on the set: the input of the model itself, or the parameters of a layer that is put in front of it
(`verify.specs.front`). A row may also read further outputs that an attachment gives the model (a distance, hidden
values) and monomials. Boxes and rows are exact; a box is rounded outward for the bounds and inward for witnesses.

A set may hold fewer points than its pieces (integers, one-hot vectors). Then a `Premise` decides membership exactly and
`snap` moves a candidate to a member nearby; what is proved for the pieces holds for the set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Protocol

import numpy as np

from verify.monomials import Monomial
from verify.onnx_import import Network
from verify.query import InputBox, LinearConstraint, Numbers
from verify.specs.support import Ball

Rows = tuple[LinearConstraint, ...]
NEVER_POSITIVE = -Fraction(2) ** 20
"""Constant of a row that says nothing to the bounds: so far below 0 that no combination of rows gives it weight."""


@dataclass(frozen=True)
class Premise(LinearConstraint):
    """A row for the bounds whose value at a point of the set is known better: `exactly(p)`, not positive for members.

    Over the reals the row is not positive wherever `exactly` is not; executions of the model round what the row reads.
    """

    exactly: Callable[[Numbers], Fraction] = field(kw_only=True, compare=False)

    def value(self, x: Numbers, y: Numbers) -> Fraction:
        return self.exactly(x)


def members_only(holds: Callable[[Numbers], bool]) -> Premise:
    """A premise that no bound uses: only points where `holds` says so are members."""
    return Premise((), NEVER_POSITIVE, exactly=lambda p: NEVER_POSITIVE if holds(p) else Fraction(1))


def scaled(row: LinearConstraint, factor: Fraction) -> LinearConstraint:
    """The same condition, its left side times a positive number (`Premise.exactly` has the sign, which is all)."""
    y, x = (tuple((k, c * factor) for k, c in part) for part in (row.y, row.x))
    return replace(row, y=y, x=x, constant=row.constant * factor)


class Attachment(Protocol):
    """A change of the model. `outputs`: how many entries it puts behind the outputs."""

    outputs: int

    def attach(self, network: Network) -> Network:
        """The changed model. Raises `InvalidInput` where it does not fit."""
        ...


@dataclass(frozen=True, eq=False)
class Piece:
    """One box of p and the rows that hold on it. Entry k >= 0 of a row's y part is entry k of what the attachments put
    behind the outputs, entry -1 - k monomial k."""

    box: InputBox
    rows: Rows = ()


@dataclass(frozen=True, eq=False)
class Region:
    """A set of inputs. `shape`: of the model input that it was stated for; `front` maps p to it (None: p is it).

    `ball` contains every piece; `note` says where a proof is about more than the set."""

    name: str
    shape: tuple[int, ...]
    pieces: tuple[Piece, ...]
    monomials: tuple[Monomial, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    front: Front | None = None
    ball: Ball | None = None
    snap: Callable[[np.ndarray], np.ndarray] | None = None
    describe: Callable[[np.ndarray], str] | None = None
    note: str = ""

    @property
    def extra(self) -> int:
        """Entries that the attachments put behind the outputs."""
        return sum(attachment.outputs for attachment in self.attachments)

    def placed(self, row: LinearConstraint, outputs: int, behind: int) -> LinearConstraint:
        """The row as a `Spec` reads it, for a model of so many `outputs`, `behind` after all changes."""
        return replace(row, y=tuple((outputs + k if k >= 0 else behind - 1 - k, c) for k, c in row.y))


class Front(Attachment, Protocol):
    """A layer in front of the model, p -> input."""

    def apply(self, p: np.ndarray, network: Network) -> np.ndarray:
        """The input that the model is given at p (flat), in its shape and type."""
        ...


def square(k: int) -> Monomial:
    """The monomial p_k^2."""
    return (("x", k), ("x", k))


def box_of(limits: Sequence[tuple[Fraction, Fraction]]) -> InputBox:
    """The box of exact limits."""
    return InputBox.exact([low for low, _ in limits], [high for _, high in limits])
