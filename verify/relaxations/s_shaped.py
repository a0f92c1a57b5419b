"""Sigmoid and tanh: tangents and chords around the inflection at 0.

f is increasing, convex left of 0 and concave right of 0. On [l, u]:

- lower line: the chord if it lies below f at both ends of the convex part (u <= 0 gives a tangent instead: f is convex
  there); across 0 the tangent at the point d <= 0 that passes below (u, f(u)), d found by bisection on
  g(d) = f(d) + f'(d)(u - d) - f(u), keeping the end with g <= 0;
- upper line: the mirror image, f(-z) = c - f(z).

Certificates name lines by their place between these slopes, so that prover and checker follow the same rule here, which
is older than that of `verify.relaxations.curve`. Intercepts are those of all curves. Source: Zhang et al. 2018 (CROWN).
"""

from __future__ import annotations

import torch
from torch import Tensor

from verify.ops.s_shaped import SShaped
from verify.relaxations.curve import candidate_slopes, curve_lines, intercept
from verify.sets import Interval

BISECTIONS = 30
exact_intercept = intercept
s_shaped_lines = curve_lines


def _derivative(op: SShaped, z: Tensor) -> Tensor:
    return op.derivative_at_value(op.evaluate(z))


def _tangent_point(op: SShaped, far: Tensor, near: Tensor) -> Tensor:
    """d in [near, 0] (near <= 0 <= far) whose tangent passes below (far, f(far)): the largest such found."""
    low, high = near.clone(), torch.zeros_like(near)
    target = op.evaluate(far)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        below = op.evaluate(middle) + _derivative(op, middle) * (far - middle) <= target
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return low


def _lower_slopes(op: SShaped, pre: Interval) -> tuple[Tensor, Tensor]:
    """Two sound slopes for a lower line, between which an optimiser may interpolate (the intercept is recomputed)."""
    l, u = pre.lower, pre.upper
    width = (u - l).clamp(min=torch.finfo(l.dtype).eps)
    chord = (op.evaluate(u) - op.evaluate(l)) / width
    chord = torch.where(u - l > 1e-6 * (1 + pre.magnitude), chord, _derivative(op, (l + u) / 2)).clamp(min=0)
    across = (l < 0) & (u > 0)
    d = _tangent_point(op, u.clamp(min=0), l.clamp(max=0))
    # The chord is below f when even the tangent at l is not steeper: everything is concave as seen from l.
    chord_fits = _derivative(op, l) >= chord
    crossing = torch.where(chord_fits, chord, _derivative(op, d))
    middle = _derivative(op, (l + u) / 2)
    first = torch.where(u <= 0, middle, torch.where(l >= 0, chord, crossing))
    second = torch.where(u <= 0, _derivative(op, u), torch.where(l >= 0, chord, torch.where(
        across & ~chord_fits, _derivative(op, l), crossing)))
    return first, second


@candidate_slopes.register
def s_shaped_slopes(op: SShaped, pre: Interval) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """((lower, alternative lower), (upper, alternative upper)) slopes, each (n, *shape)."""
    mirrored = Interval(-pre.upper, -pre.lower)
    return _lower_slopes(op, pre), _lower_slopes(op, mirrored)
