"""Fairness: another value of a protected feature does not change the class.

    for all rows x, x' of a table that agree in everything but the feature:  argmax f(x) = argmax f(x')

The pair (x, x' = x + e) is one question about the network taken twice (`verify.pairs`), one piece for each pair of
values. Reference: individual (counterfactual) fairness, Dwork et al. 2012; Kusner et al. 2017.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from verify.errors import InvalidInput
from verify.onnx_import import Network
from verify.pairs.network import pair
from verify.pairs.properties import agreement
from verify.pairs.tie import Tie
from verify.query import InputBox, LinearConstraint
from verify.specs.features import Feature
from verify.specs.outputs import Wanted
from verify.specs.region import Region
from verify.specs.table import FEW, Relation, Table, sharpened


@dataclass(frozen=True, eq=False)
class Twice:
    """The network at x and at x + e, e in the columns `changed` behind x."""

    changed: tuple[int, ...]
    outputs: int = 0

    def attach(self, network: Network) -> Network:
        return pair(network, network, Tie(self.changed)).network

    def apply(self, p: np.ndarray, network: Network) -> np.ndarray:
        """Both rows, (2, columns)."""
        size = math.prod(network.input_shape)
        both = np.stack([p[:size], p[:size]])
        both[1, list(self.changed)] += p[size:]
        return both


def counterfactual(features: Sequence[Feature], protected: str, relations: Sequence[Relation] = (), few: int = FEW
                   ) -> Region:
    """Pairs of rows that differ in the feature `protected` only; both meet the relations. To be asked with
    `same_class()`."""
    rows_of = Table(tuple(features), tuple(relations))
    feature, place = rows_of.features[(k := rows_of.index(protected))], rows_of.groups[k]
    if feature.choices is None or feature.choices < 2:
        raise InvalidInput(f"the protected feature {protected} must have at least two choices")
    enumerated = rows_of.enumerated(few, (k,))
    hull = rows_of.hull_rows(enumerated)
    size, pieces = len(rows_of.columns), []
    others = [j for j in enumerated if j != k]
    for fixed in rows_of.combinations(others):
        for a, b in itertools.combinations(range(feature.choices), 2):
            first, second = feature.option(a), feature.option(b)
            rise = [v - u for u, v in zip(first, second, strict=True)]
            both = (*rows_of.rows, *(_at(row, place, rise) for row in rows_of.rows))
            piece = sharpened(rows_of.limits({**fixed, k: first}), both, hull)
            if piece is not None:
                pieces.append(replace(piece, box=_behind(piece.box, rise)))
    if not pieces:
        raise InvalidInput(f"the relations leave no two rows that differ in {protected} only")

    def snap(p: np.ndarray) -> np.ndarray:
        return np.concatenate([rows_of.snap(p[:size]), p[size:]])

    def describe(p: np.ndarray) -> str:
        row, changed = p[:size], p[:size].copy()
        changed[place] += p[size:]
        return f"{rows_of.text(row)}; with {feature.text(changed[place])}"

    return Region("counterfactual", (size,), tuple(pieces), front=Twice(tuple(range(place.start, place.stop))),
                  snap=snap if rows_of.relaxed(enumerated) else None, describe=describe,
                  note=rows_of.note(enumerated))


def same_class() -> Wanted:
    """Both rows of a pair have the same class; a tie counts as unsafe."""
    nowhere = InputBox.from_floats(np.zeros(1), np.zeros(1))
    return lambda outputs: agreement(nowhere, outputs).cases[0].disjuncts


def _at(row: LinearConstraint, place: slice, rise: Sequence[Fraction]) -> LinearConstraint:
    """The row as it reads at x + e, for a fixed e."""
    moved = {place.start + j: e for j, e in enumerate(rise)}
    return replace(row, constant=row.constant + sum(c * moved.get(j, 0) for j, c in row.x))


def _behind(box: InputBox, rise: Sequence[Fraction]) -> InputBox:
    """The box with the fixed entries of e behind it."""
    fixed = InputBox.exact(list(rise), list(rise))
    return InputBox(*(np.concatenate([getattr(part, side) for part in (box, fixed)])
                      for side in ("lower", "upper", "inner_lower", "inner_upper")))
