"""Sigmoid and tanh: tangents and chords around the inflection at 0.

f is increasing, convex left of 0 and concave right of 0. On [l, u]:

- lower line: the chord if it lies below f at both ends of the convex part (u <= 0 gives a tangent instead: f is convex
  there); across 0 the tangent at the point d <= 0 that passes below (u, f(u)), d found by bisection on
  g(d) = f(d) + f'(d)(u - d) - f(u), keeping the end with g <= 0;
- upper line: the mirror image, f(-z) = c - f(z).

Source: Zhang et al. 2018 (CROWN), Shi et al. 2024 (GenBaB). Slopes come out of rounded arithmetic, so the intercept is
not taken from the construction but computed afterwards: for a fixed slope s the best intercept is the minimum of
f(z) - s z over [l, u], which is attained at an end or where f'(z) = s. `exact_intercept` evaluates these points and
charges the rounding: the stored line is sound for every slope, also a bad one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from verify.ops.s_shaped import Sigmoid, SShaped
from verify.relaxations.base import Lines
from verify.sets import Interval

BISECTIONS = 30


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


def _stationary(op: SShaped, slope: Tensor) -> Tensor:
    """The z >= 0 with f'(z) = slope (0 where the slope exceeds f'(0)); the other solution is -z."""
    if isinstance(op, Sigmoid):
        root = (1 - 4 * slope).clamp(min=0).sqrt()  # p (1 - p) = s, p = (1 + root) / 2
        p = ((1 + root) / 2).clamp(max=1 - torch.finfo(slope.dtype).eps)
        return torch.log(p / (1 - p)).clamp(min=0)
    y = (1 - slope).clamp(0, 1).sqrt().clamp(max=1 - torch.finfo(slope.dtype).eps)  # 1 - y^2 = s
    return torch.atanh(y)


def exact_intercept(op: SShaped, pre: Interval, slope: Tensor, lower: bool) -> Tensor:
    """The largest t with slope z + t <= f(z) on [l, u] (smallest with >= for `lower=False`), rounded outward.

    f(z) - slope z has its extrema at l, u and at +-z0 with f'(z0) = slope. z0 is computed with rounding; because the
    derivative of f(z) - slope z is 0 there, an error d in z0 changes the value by at most d^2 max|f''|/2, far below
    the charge for the rounding of the value itself.
    """
    sign = 1.0 if lower else -1.0
    stationary = _stationary(op, slope)
    best = None
    for point in (pre.lower, pre.upper, stationary, -stationary):
        z = torch.minimum(torch.maximum(point, pre.lower), pre.upper)
        value = op.evaluate(z)
        charge = op.error(value) + 8 * torch.finfo(z.dtype).eps * (value.abs() + (slope * z).abs())
        candidate = sign * (value - slope * z) - charge
        best = candidate if best is None else torch.minimum(best, candidate)
    # Where a slope is close to f'(0) the two stationary points merge and the second-order argument is at its weakest
    # (z0 is only known to sqrt(eps)); the flat third-order term stays below this charge.
    best = best - 4 * torch.finfo(slope.dtype).eps * (1 + pre.magnitude)
    return sign * best


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


def s_shaped_slopes(op: SShaped, pre: Interval) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """((lower, alternative lower), (upper, alternative upper)) slopes, each (n, *shape)."""
    mirrored = Interval(-pre.upper, -pre.lower)
    return _lower_slopes(op, pre), _lower_slopes(op, mirrored)


def s_shaped_lines(op: SShaped, pre: Interval, choice: int = 0) -> Lines:
    """Lines for [l, u] (n, *shape); `choice` 1 takes the alternative slopes. Differentiable in nothing: detached."""
    with torch.no_grad():
        lower, upper = (pair[choice] for pair in s_shaped_slopes(op, pre))
        return Lines(
            lower, exact_intercept(op, pre, lower, lower=True), upper, exact_intercept(op, pre, upper, lower=False)
        )
