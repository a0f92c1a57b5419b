"""What a VNN-LIB 2.0 text says before names and types are looked up.

Formulas and terms are those of `verify.vnnlib.tree`, with `Element`s in the place of variables.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from verify.interface import Declaration
from verify.vnnlib.tree import Formula, Text


class Element(NamedTuple):
    """One entry of a declared tensor: its name and indices, none for a scalar."""

    name: str
    indices: tuple[int, ...]
    at: int


class Literal(NamedTuple):
    """A number; `text` tells an integer from a decimal."""

    text: str
    at: int


@dataclass(frozen=True, eq=False)
class Script(Text):
    """A parsed file: the networks in order, and the assertions."""

    networks: tuple[Declaration, ...]
    asserts: tuple[Formula, ...]
