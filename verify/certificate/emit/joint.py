"""Combinations of rows on a box, and where to cut it: both from the linear bounds of the rows.

For rows h_r >= A_r x + b_r on a box, any convex combination that is positive on the box proves that not all rows can be
non-positive. The best one maximises the concave function w -> min over the box of sum_r w_r (A_r x + b_r).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from verify.certificate.checker import bounds, nodes
from verify.certificate.checker.collapse import Collapsed
from verify.certificate.checker.nodes import Domain
from verify.certificate.emit.pieces import rounded

STEPS = 12


def row_forms(net: Collapsed, domains: Sequence[Domain], rows: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Linear lower bounds of the rows on each domain, its bounds computed again: (n, r, I), (n, r)."""
    batch, _ = bounds.refreshed(net, nodes.batch_of(domains))
    line = bounds.lines(net, batch, bounds.default_alpha(net, batch))
    found = [bounds.push(net, batch.signs, line, net.weight[r][None], net.bias[r : r + 1], net.error[r : r + 1])
             for r in rows]
    return np.stack([f.x for f in found], 1), np.stack([f.offset - f.error for f in found], 1)


def joint_weights(net: Collapsed, domains: Sequence[Domain], disjuncts: list[list[int]]
                  ) -> list[list[np.ndarray] | None]:
    """Per domain the weights of every disjunct's rows, as they will be read; None where no disjunct has two rows."""
    if all(len(rows) < 2 for rows in disjuncts):
        return [None] * len(domains)
    boxes = nodes.batch_of(domains)
    center, radius = (boxes.x_lower + boxes.x_upper) / 2, (boxes.x_upper - boxes.x_lower) / 2
    per_disjunct = []
    for rows in disjuncts:
        coefficient, offset = row_forms(net, domains, rows)
        per_disjunct.append(rounded(_ascend(coefficient, offset, center, radius)))
    return [[weights[k] for weights in per_disjunct] for k in range(len(domains))]


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


def widest_effect(domain: Domain, disjuncts: list[list[int]]) -> int:
    """The input across which the worst disjunct's best row changes most on the domain."""
    net = domain.context.net
    rows = sorted({r for rows in disjuncts for r in rows})
    if not rows:
        return int(np.argmax(domain.x_upper - domain.x_lower))
    coefficient, offset = row_forms(net, [domain], rows)
    low = np.where(coefficient > 0, domain.x_lower, domain.x_upper)
    least = dict(zip(rows, (offset + (coefficient * low).sum(2))[0], strict=True))
    worst = min(disjuncts, key=lambda mine: max((least[r] for r in mine), default=-np.inf))
    chosen = max(worst, key=least.get, default=rows[0])
    effect = np.abs(coefficient[0, rows.index(chosen)]) * (domain.x_upper - domain.x_lower)
    return int(np.argmax(effect)) if effect.any() else int(np.argmax(domain.x_upper - domain.x_lower))
