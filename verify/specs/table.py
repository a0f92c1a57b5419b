"""Rows of tabular data: features, and linear relations between their columns,

    sum_k c_k column_k <= limit.

Finite features (integers, choices, one-hot groups) are taken choice by choice, one piece for each combination, as long
as these are few: exact. The others are relaxed to their hull (an interval, the simplex s >= 0, sum s = 1): a proof
holds for the hull, only true rows count as witnesses. Relations sharpen the boxes of the pieces.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from verify.errors import InvalidInput
from verify.query import LinearConstraint, Numbers
from verify.specs.features import Feature, Values
from verify.specs.numbers import Number, rational
from verify.specs.region import Piece, Region, Rows, box_of, members_only
from verify.specs.words import groups_of, sum_to_one
from verify.vnnlib.tighten import Limits, crossing, implied, tighten

FEW = 64


@dataclass(frozen=True)
class Relation:
    """sum of coefficient * column <= `at_most`. Columns of a one-hot group are called NAME=CATEGORY."""

    terms: Mapping[str, Number]
    at_most: Number = 0

    def row(self, columns: Sequence[str]) -> LinearConstraint:
        """Over the numbered columns. Raises `InvalidInput` naming what there is not."""
        missing = [name for name in self.terms if name not in columns]
        if missing:
            raise InvalidInput(f"a relation reads {missing[0]!r}; the columns are {', '.join(columns)}")
        terms = ((columns.index(name), rational(c, f"the coefficient of {name}")) for name, c in self.terms.items())
        return LinearConstraint((), -rational(self.at_most, "at_most"), tuple((k, c) for k, c in terms if c))


@dataclass(frozen=True, eq=False)
class Table:
    """Features in the order of the model's input, with the relations between them."""

    features: tuple[Feature, ...]
    relations: tuple[Relation, ...]

    def __post_init__(self) -> None:
        if not self.features:
            raise InvalidInput("a table has at least one feature")
        twice = [name for name, count in Counter(self.columns).items() if count > 1]
        if twice:
            raise InvalidInput(f"two features are called {twice[0]!r}")

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(column for feature in self.features for column in feature.columns)

    @property
    def groups(self) -> list[slice]:
        """The columns of each feature."""
        return groups_of([len(feature.columns) for feature in self.features])

    @property
    def rows(self) -> Rows:
        return tuple(relation.row(self.columns) for relation in self.relations)

    def index(self, name: str) -> int:
        """The number of a feature. Raises `InvalidInput`."""
        names = [feature.name for feature in self.features]
        if name not in names:
            raise InvalidInput(f"there is no feature {name!r}; the features are {', '.join(names)}")
        return names.index(name)

    def enumerated(self, few: int, first: Sequence[int] = ()) -> tuple[int, ...]:
        """The finite features that are taken choice by choice: `first` anyhow, then those of the fewest choices, while
        there are at most `few` combinations."""
        found = list(first)
        count = math.prod(self.features[k].choices for k in found)
        rest = [k for k, feature in enumerate(self.features) if feature.choices is not None and k not in found]
        for k in sorted(rest, key=lambda k: self.features[k].choices):
            more = self.features[k].choices
            if more > 1 and count * more > few:
                break
            found.append(k)
            count *= more
        return tuple(sorted(found))

    def relaxed(self, enumerated: Sequence[int]) -> tuple[int, ...]:
        """The finite features that are not enumerated."""
        return tuple(k for k, feature in enumerate(self.features)
                     if feature.choices is not None and k not in enumerated)

    def combinations(self, enumerated: Sequence[int]) -> Iterator[dict[int, Values]]:
        """Every choice of the enumerated features."""
        for chosen in itertools.product(*(range(self.features[k].choices) for k in enumerated)):
            yield {k: self.features[k].option(option) for k, option in zip(enumerated, chosen, strict=True)}

    def limits(self, fixed: Mapping[int, Values]) -> list[tuple[Fraction, Fraction]]:
        """Limits of all columns where some features are fixed."""
        return [pair for k, feature in enumerate(self.features)
                for pair in ([(v, v) for v in fixed[k]] if k in fixed else feature.hull())]

    def hull_rows(self, enumerated: Sequence[int]) -> Rows:
        """What is known of the relaxed features: simplices, and which points of them are rows of the table."""
        relaxed, groups = self.relaxed(enumerated), self.groups
        rows = [row for k in relaxed if self.features[k].simplex for row in sum_to_one(groups[k])]
        if relaxed:
            rows.append(members_only(lambda x: all(self.features[k].holds(x[groups[k]]) for k in relaxed)))
        return tuple(rows)

    def snap(self, x: np.ndarray) -> np.ndarray:
        """Every finite feature moved to the nearest choice."""
        parts = zip(self.features, self.groups, strict=True)
        return np.concatenate([np.asarray(feature.nearest(x[group]), np.float64) for feature, group in parts])

    def text(self, x: Numbers) -> str:
        parts = zip(self.features, self.groups, strict=True)
        return ", ".join(feature.text(np.asarray(x[group])) for feature, group in parts)

    def note(self, enumerated: Sequence[int]) -> str:
        names = ", ".join(self.features[k].name for k in self.relaxed(enumerated))
        return f"a proof holds for the hull of {names}, only true rows are counterexamples" if names else ""


def table(features: Sequence[Feature], relations: Sequence[Relation] = (), few: int = FEW) -> Region:
    """All rows of these features that meet the relations. `few`: so many combinations of choices are pieces."""
    rows_of = Table(tuple(features), tuple(relations))
    enumerated = rows_of.enumerated(few)
    hull = rows_of.hull_rows(enumerated)
    pieces = [piece for fixed in rows_of.combinations(enumerated)
              if (piece := sharpened(rows_of.limits(fixed), rows_of.rows, hull)) is not None]
    if not pieces:
        raise InvalidInput("the relations contradict the ranges of the features: no row of the table meets them")
    return Region("table", (len(rows_of.columns),), tuple(pieces), describe=rows_of.text,
                  snap=rows_of.snap if rows_of.relaxed(enumerated) else None, note=rows_of.note(enumerated))


def sharpened(limits: Sequence[tuple[Fraction, Fraction]], relations: Rows, hull: Rows) -> Piece | None:
    """The piece of these limits and rows, its box sharpened by them; None where it is empty."""
    box: Limits = {(k, bool(side)): pair[side] for k, pair in enumerate(limits) for side in (0, 1)}
    lines = tuple(row for row in (*relations, *hull) if row.x)
    box = tighten(box, lines)
    if crossing(box) is not None or any(_impossible(box, row) for row in lines):
        return None
    kept = tuple(row for row in (*relations, *hull) if not (row.x and implied(box, row)))
    return Piece(box_of([(Fraction(box[k, False]), Fraction(box[k, True])) for k in range(len(limits))]), kept)


def _impossible(box: Limits, row: LinearConstraint) -> bool:
    """Whether a row fails everywhere in a box."""
    return row.constant + sum(c * Fraction(box[k, c < 0]) for k, c in row.x) > 0
