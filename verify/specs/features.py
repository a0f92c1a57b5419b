"""Columns of tabular data: what values they take, exactly.

    Range(name, low, high)       any number of an interval
    Fixed(name, value)           one number
    Integer(name, low, high)     the integers of an interval
    Choice(name, values)         one of some numbers
    OneHot(name, categories)     as many columns as categories: one of them is 1, the others are 0
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np

from verify.errors import InvalidInput
from verify.query import Numbers, exact
from verify.specs.numbers import Number, limits, rational

Values = tuple[Fraction, ...]
ONE, ZERO = Fraction(1), Fraction(0)


class Feature(Protocol):
    """One or more columns. `choices`: how many values there are, None for an interval."""

    name: str

    @property
    def columns(self) -> tuple[str, ...]: ...

    @property
    def choices(self) -> int | None: ...

    @property
    def simplex(self) -> bool:
        """Whether the entries sum to 1."""
        ...

    def option(self, k: int) -> Values:
        """Choice k."""
        ...

    def hull(self) -> tuple[tuple[Fraction, Fraction], ...]:
        """Limits of the columns."""
        ...

    def holds(self, values: Numbers) -> bool:
        """Whether these entries are a choice."""
        ...

    def nearest(self, values: np.ndarray) -> np.ndarray:
        """A choice nearby."""
        ...

    def text(self, values: np.ndarray) -> str: ...


@dataclass(frozen=True)
class Range:
    """Any number from `low` to `high`."""

    name: str
    low: Number
    high: Number
    choices: int | None = None
    simplex: bool = False

    def __post_init__(self) -> None:
        limits((self.low, self.high), self.name)

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.name,)

    def option(self, k: int) -> Values:
        raise InvalidInput(f"{self.name} is an interval; it has no choices to take one by one")

    def hull(self) -> tuple[tuple[Fraction, Fraction], ...]:
        return (limits((self.low, self.high), self.name),)

    def holds(self, values: Numbers) -> bool:
        (low, high), = self.hull()
        return low <= exact(values[0]) <= high

    def nearest(self, values: np.ndarray) -> np.ndarray:
        return values

    def text(self, values: np.ndarray) -> str:
        return f"{self.name} {values[0]:g}"


@dataclass(frozen=True)
class Choice:
    """One of `values`."""

    name: str
    values: Sequence[Number]
    simplex: bool = False

    def __post_init__(self) -> None:
        if not len(self.values):
            raise InvalidInput(f"{self.name} has no values; give at least one")
        for value in self.values:
            rational(value, self.name)

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def choices(self) -> int:
        return len(self.values)

    def option(self, k: int) -> Values:
        return (rational(self.values[k], self.name),)

    def hull(self) -> tuple[tuple[Fraction, Fraction], ...]:
        found = [rational(value, self.name) for value in self.values]
        return ((min(found), max(found)),)

    def holds(self, values: Numbers) -> bool:
        return any(exact(values[0]) == rational(value, self.name) for value in self.values)

    def nearest(self, values: np.ndarray) -> np.ndarray:
        found = np.array([float(value) for value in self.values])
        return found[[np.abs(found - values[0]).argmin()]]

    def text(self, values: np.ndarray) -> str:
        return f"{self.name} {values[0]:g}"


def Fixed(name: str, value: Number) -> Choice:
    """One number."""
    return Choice(name, (value,))


def Integer(name: str, low: int, high: int) -> Choice:
    """The integers from `low` to `high`."""
    first, last = limits((low, high), name)
    numbers = range(math.ceil(first), math.floor(last) + 1)
    if not numbers:
        raise InvalidInput(f"{name}: there is no integer from {low} to {high}")
    return Choice(name, numbers)


@dataclass(frozen=True)
class OneHot:
    """A category: its column is 1, those of the others are 0."""

    name: str
    categories: Sequence[str]
    simplex: bool = True

    def __post_init__(self) -> None:
        if not len(self.categories):
            raise InvalidInput(f"{self.name} is an empty group; a one-hot group has at least one category")
        if len(set(self.categories)) != len(self.categories):
            raise InvalidInput(f"{self.name} names a category twice: {list(self.categories)}")

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(f"{self.name}={category}" for category in self.categories)

    @property
    def choices(self) -> int:
        return len(self.categories)

    def option(self, k: int) -> Values:
        return tuple(ONE if j == k else ZERO for j in range(len(self.categories)))

    def hull(self) -> tuple[tuple[Fraction, Fraction], ...]:
        return ((ZERO, ONE),) * len(self.categories)

    def holds(self, values: Numbers) -> bool:
        ones = sum(exact(v) == 1 for v in values)
        return ones == 1 and sum(exact(v) == 0 for v in values) == len(self.categories) - 1

    def nearest(self, values: np.ndarray) -> np.ndarray:
        return np.eye(len(values))[values.argmax()]

    def text(self, values: np.ndarray) -> str:
        return f"{self.name} {self.categories[int(np.argmax(values))]}"
