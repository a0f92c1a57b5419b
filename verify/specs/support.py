"""Half-spaces that contain a norm ball, in the directions that matter.

For every g the points of {x : ||x - c||_q <= eps} meet  -g (x - c) - eps ||g||_q* <= 0  (Hoelder; q* = 2 for 2,
infinity for 1). With g the gradient of a row h <= 0 at c, the sum of both rows,

    h(x) - g (x - c) - eps ||g||_q*  <=  0,

has the least value h(c) - eps ||g||_q* up to the curvature of h: the bound of the dual norm, from one row, where
squares and absolute values need tangents and multipliers found together. (Linear networks: at the root; without it 10
inputs took 49,000 boxes, and 60 were not decided.) Implied by h <= 0 on the ball, so that no counterexample is lost;
g may be any vector, so that rounding of the gradient costs no soundness. Norms are exact or rounded up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch

from verify.graph import Graph
from verify.query import Disjunct, LinearConstraint

MOST = 16
"""Rows of a disjunct that are looked at."""


@dataclass(frozen=True, eq=False)
class Ball:
    """`centre` flat, `power` 1 or 2."""

    centre: np.ndarray
    eps: Fraction
    power: int

    def half_space(self, g: np.ndarray) -> LinearConstraint:
        """-g (x - c) - eps ||g|| <= 0."""
        exact = [Fraction(float(v)) for v in g]
        size = max(map(abs, exact)) if self.power == 1 else root_above(sum(v * v for v in exact))
        shift = sum(v * c for v, c in zip(exact, self.centre, strict=True))
        return LinearConstraint((), shift - self.eps * size, tuple((k, -v) for k, v in enumerate(exact) if v))

    def straightened(self, h: LinearConstraint, g: np.ndarray) -> LinearConstraint:
        """The row h plus the half-space of g."""
        plane = self.half_space(g)
        return LinearConstraint(h.y, h.constant + plane.constant, (*h.x, *plane.x))

    def factor(self, gradients: Sequence[np.ndarray]) -> Fraction:
        """A power of two for the rows of the ball. Their least value on the box, -eps^power, is then below that of the
        rows with these gradients, so that an ascent does not start from the ball alone, where a corner of the box says
        nothing about the direction in which its tangents are to turn."""
        size = max((float(np.abs(g).sum() + np.linalg.norm(g)) for g in gradients), default=0.0)
        wanted = size / max(float(self.eps), 1e-30) ** (self.power - 1)
        if not 2.0**-100 < wanted < 2.0**100:
            return Fraction(1)
        return Fraction(2) ** math.ceil(math.log2(wanted))


def gradients(graph: Graph, point: np.ndarray, disjunct: Disjunct) -> list[tuple[LinearConstraint, np.ndarray]]:
    """The rows of a disjunct, over the outputs of `graph`, with their gradients at an input (flat), where these are
    finite and not 0."""
    x = torch.tensor([float(c) for c in point], dtype=torch.float64).reshape(1, *graph.input.shape).requires_grad_()
    with torch.enable_grad():
        y = graph.evaluate(x).flatten()
        values = [(row, sum(float(c) * y[k] for k, c in row.y)) for row in disjunct[:MOST] if row.y]
    found = [(row, torch.autograd.grad(value, x, retain_graph=True)[0].flatten().numpy())
             for row, value in values if value.requires_grad]
    return [(row, g) for row, g in found if np.isfinite(g).all() and g.any()]


def root_above(value: Fraction) -> Fraction:
    """A number at or little above the square root: sqrt(p / q) <= (isqrt(p q k^2) + 1) / (q k)."""
    scale = 1 << max(64 - (value.numerator * value.denominator).bit_length() // 2, 0)
    root = math.isqrt(value.numerator * value.denominator * scale * scale)
    exact = root * root == value.numerator * value.denominator * scale * scale
    return Fraction(root if exact else root + 1, value.denominator * scale)
