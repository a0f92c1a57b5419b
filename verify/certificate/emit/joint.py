"""Combinations of rows on a box, and where to cut it: both from the linear bounds of the rows.

For rows h_r >= A_r x + b_r on a box, any convex combination that is positive on the box proves that not all rows can be
non-positive. The best one maximises the concave function w -> min over the box of sum_r w_r (A_r x + b_r).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from verify.certificate.checker import bounds, nodes
from verify.certificate.checker.collapse import Collapsed
from verify.certificate.checker.nodes import Domain
from verify.certificate.emit.pieces import rounded

STEPS = 12


@dataclass(frozen=True, eq=False)
class RowForms:
    """Linear lower bounds of the rows `rows` on n boxes: `coefficient` (n, r, I), `offset` (n, r), and the boxes."""

    rows: list[int]
    coefficient: np.ndarray
    offset: np.ndarray
    x_lower: np.ndarray
    x_upper: np.ndarray

    @classmethod
    def of(cls, net: Collapsed, domains: Sequence[Domain], disjuncts: list[list[int]]) -> RowForms:
        """All rows of the disjuncts, with the bounds of neurons computed again on each domain."""
        rows = sorted({r for mine in disjuncts for r in mine})
        batch, _ = bounds.refreshed(net, nodes.batch_of(domains))
        line = bounds.lines(net, batch, bounds.default_alpha(net, batch))
        found = [bounds.push(net, batch.signs, line, net.weight[r][None], net.bias[r : r + 1], net.error[r : r + 1])
                 for r in rows]
        if not rows:
            return cls(rows, np.zeros((len(domains), 0, net.inputs)), np.zeros((len(domains), 0)), batch.x_lower,
                       batch.x_upper)
        return cls(rows, np.stack([f.x for f in found], 1), np.stack([f.offset - f.error for f in found], 1),
                   batch.x_lower, batch.x_upper)

    def joint_weights(self, disjuncts: list[list[int]]) -> list[list[np.ndarray] | None]:
        """Per domain the weights of every disjunct's rows, as they will be read; None where none has two rows."""
        count = len(self.offset)
        if all(len(mine) < 2 for mine in disjuncts):
            return [None] * count
        center, radius = (self.x_lower + self.x_upper) / 2, (self.x_upper - self.x_lower) / 2
        found = []
        for mine in disjuncts:
            at = [self.rows.index(r) for r in mine]
            best = _ascend(self.coefficient[:, at], self.offset[:, at], center, radius) if at else np.zeros((count, 0))
            found.append(rounded(best))
        return [[weights[k] for weights in found] for k in range(count)]

    def widest_effects(self, disjuncts: list[list[int]]) -> np.ndarray:
        """Per domain the input across which the worst disjunct's best row changes most: (n,)."""
        width = self.x_upper - self.x_lower
        if not self.rows:
            return width.argmax(1)
        low = np.where(self.coefficient > 0, self.x_lower[:, None], self.x_upper[:, None])
        least = self.offset + (self.coefficient * low).sum(2)
        best = np.full((len(least), len(disjuncts)), -np.inf)
        chosen = np.zeros((len(least), len(disjuncts)), dtype=np.int64)
        for d, mine in enumerate(disjuncts):
            at = np.array([self.rows.index(r) for r in mine], dtype=np.int64)
            if at.size:
                chosen[:, d] = at[least[:, at].argmax(1)]
                best[:, d] = least[:, at].max(1)
        every = np.arange(len(least))
        row = chosen[every, best.argmin(1)]
        effect = np.abs(self.coefficient[every, row]) * width
        return np.where(effect.any(1), effect.argmax(1), width.argmax(1))


def _ascend(coefficient: np.ndarray, offset: np.ndarray, center: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Convex weights (n, r) after some steps of supergradient ascent, the best of each domain."""
    n, r = offset.shape
    scale = (np.abs(coefficient) * radius[:, None]).sum(2).max(1, keepdims=True) + 1e-300
    values = offset + (coefficient * center[:, None]).sum(2) - (np.abs(coefficient) * radius[:, None]).sum(2)
    weights = np.full((n, r), 1.0 / r)
    best, kept = values.max(1), np.eye(r)[values.argmax(1)]
    for step in range(STEPS):
        combined = np.einsum("nr,nri->ni", weights, coefficient)
        corner = center - radius * np.sign(combined)
        values = np.einsum("nri,ni->nr", coefficient, corner) + offset
        bound = (weights * values).sum(1)
        better = bound > best
        best, kept = np.where(better, bound, best), np.where(better[:, None], weights, kept)
        weights = _simplex(weights + values / scale / (1 + step))
    return kept


def _simplex(points: np.ndarray) -> np.ndarray:
    """Euclidean projection of each row on the convex weights."""
    ordered = -np.sort(-points, axis=1)
    total = ordered.cumsum(1) - 1
    count = np.arange(1, points.shape[1] + 1)
    support = (ordered - total / count > 0).sum(1)
    threshold = total[np.arange(len(points)), support - 1] / support
    return np.maximum(points - threshold[:, None], 0)
