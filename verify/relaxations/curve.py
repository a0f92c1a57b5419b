"""Lines for any unary primitive: slopes as tight as possible, then intercepts that are sound for every slope.

For a slope s the best lower line has t(s) = min of g(z) = f(z) - s z on [l, u] (`intercept`). On a concave or straight
piece of f the minimum is at its ends. On a convex piece [a, b] every c in it bounds it, however inaccurate:

    g(z) >= g(c) - max((c - a) max(g'(c), 0), (b - c) max(-g'(c), 0)),

and loses nothing where g'(c) = 0. Every value is charged with its error and with the rounding of the products. The
upper line is the lower one of -f.

Which slope is best (`candidate_slopes`)? The area between f and a line is smallest for the line that is highest at the
middle of [l, u]: the one that supports the convex envelope there. The envelope follows f between p and q on its convex
piece, where p is the point whose tangent passes through (l, f(l)) and q the one whose tangent passes through (u, f(u));
left of p and right of q it is straight, and if p > q it is the chord. Without a convex piece it is the hull of a few
points. Sources: Zhang et al. 2018 (CROWN), Shi et al. 2024 (GenBaB).
"""

from __future__ import annotations

from functools import singledispatch

import torch
from torch import Tensor

from verify.ops.curve import Curve, Points
from verify.relaxations.base import Lines
from verify.sets import Interval

BISECTIONS = 30
NEAR_END = 1 / 16
"""The alternative slopes support the envelope this share of the width away from the ends, where f' is finite."""


def intercept(op: Curve, pre: Interval, slope: Tensor, lower: bool) -> Tensor:
    """The largest t with slope z + t <= f(z) on [l, u] (the smallest with >= for the upper line), rounded outward; -inf
    (inf) where nothing is known: undefined f, infinite ends, overflow.

    `pre` (n or 1, *shape), `slope` (n, *shape) or, with rows, (n, r, *shape), and so is the result. Differentiable in
    the slope (envelope theorem: the derivative is -z at the minimum)."""
    if slope.dim() > pre.lower.dim():
        pre = Interval(pre.lower.unsqueeze(1), pre.upper.unsqueeze(1))
    finfo = torch.finfo(slope.dtype)
    sign = 1.0 if lower else -1.0

    def gap(z: Tensor, y: Tensor) -> Tensor:
        """At most sign (f(z) - slope z)."""
        product = slope * z
        # What overflows is at least half the largest number.
        y = y.clamp(max=finfo.max / 2) if lower else y.clamp(min=-finfo.max / 2)
        return sign * (y - product) - (4 * finfo.eps * (y.abs() + product.abs()) + (op.error(z, y) + finfo.tiny))

    least = None
    for z, y in op.anchors(pre, lower):
        here = gap(z, y)
        least = here if least is None else torch.minimum(least, here)
    for a, b in op.pieces(pre, slope.detach(), lower):
        with torch.no_grad():
            c = op.stationary(slope, a, b, lower).maximum(a).minimum(b)
            loss = _loss(op, c, slope, sign, a, b)
        least = torch.minimum(least, gap(c, op.evaluate(c)) - loss)
    least = least - op.slack(pre)
    limit = op.bottom if lower else -op.top
    if limit > -torch.inf:  # f is above `bottom` everywhere: better on huge intervals
        steepest = torch.maximum(sign * slope * pre.lower, sign * slope * pre.upper)
        least = torch.maximum(least, limit - steepest - 4 * finfo.eps * (steepest.abs() + abs(limit)) - finfo.tiny)
    least = torch.where(op.defined(pre), least, -torch.inf).nan_to_num(-torch.inf, -torch.inf, -torch.inf)
    return sign * least


def _loss(op: Curve, c: Tensor, slope: Tensor, sign: float, a: Tensor, b: Tensor) -> Tensor:
    """Bounds g(c) - min g on the convex piece [a, b] of g(z) = sign (f(z) - slope z)."""
    finfo = torch.finfo(slope.dtype)
    steep = op.derivative(c)
    error = op.derivative_error(c, steep) + 4 * finfo.eps * (steep.abs() + slope.abs())
    rise = sign * (steep - slope)
    # NaN: an infinite derivative times no room, or in the other direction.
    rising, falling = (((x + error).clamp(min=0) * room).nan_to_num(0.0, torch.inf) for x, room in
                       ((rise, c - a), (-rise, b - c)))
    loss = torch.maximum(rising, falling) * (1 + 8 * finfo.eps) + finfo.tiny
    return torch.where(steep.isnan(), torch.inf, loss)


@singledispatch
def candidate_slopes(op: Curve, pre: Interval) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """((lower, alternative lower), (upper, alternative upper)) slopes, each (n, *shape) and finite.

    The first is the best one at the middle. The alternative supports the envelope near that end of [l, u] where its
    slope differs more; every slope is sound, also beyond and in between."""
    return _pair(op, pre, True), _pair(op, pre, False)


@torch.no_grad()
def _pair(op: Curve, pre: Interval, lower: bool) -> tuple[Tensor, Tensor]:
    first, left, right = envelope_slopes(op, pre, lower, (0.5, NEAR_END, 1 - NEAR_END))
    return first, torch.where((left - first).abs() > (right - first).abs(), left, right)


def curve_lines(op: Curve, pre: Interval, choice: int = 0) -> Lines:
    """Lines for [l, u] (n, *shape); `choice` 1 takes the alternative slopes. Differentiable in nothing: detached."""
    with torch.no_grad():
        lower, upper = (pair[choice] for pair in candidate_slopes(op, pre))
        return Lines(lower, intercept(op, pre, lower, True), upper, intercept(op, pre, upper, False))


@torch.no_grad()
def envelope_slopes(op: Curve, pre: Interval, lower: bool, shares: tuple[float, ...]) -> tuple[Tensor, ...]:
    """Slopes of lines that support the lower (upper) envelope at l + share (u - l); rounded, not to be relied upon."""
    points = [pre.lower + share * pre.width for share in shares]
    bowl = op.bowl(pre, lower)
    slopes = (_hull(op.anchors(pre, lower), points, lower) if bowl is None else
              _through_bowl(op, op.reach(pre, lower), points, lower, *bowl))
    # Narrow intervals: differences of values are rounding.
    narrow = pre.width <= 4 * torch.finfo(pre.lower.dtype).eps ** 0.5 * pre.magnitude
    flat = op.derivative(points[0])
    limit = torch.finfo(pre.lower.dtype).max ** 0.5
    return tuple(torch.where(narrow, flat, s).nan_to_num(0.0, 0.0, 0.0).clamp(-limit, limit) for s in slopes)


def _chord(z: Tensor, y: Tensor, to_z: Tensor, to_y: Tensor) -> Tensor:
    return (to_y - y) / (to_z - z)


def _hull(points: Points, queries: list[Tensor], lower: bool) -> list[Tensor]:
    """Slopes of the edges of the points' lower (upper) hull below (above) the queries."""
    if len(points) == 2:
        return [_chord(*points[0], *points[1])] * len(queries)
    sign, found = (1.0 if lower else -1.0), []
    for query in queries:
        slope, least = torch.zeros_like(query), torch.full_like(query, torch.inf)
        for i, (z, y) in enumerate(points):
            for to_z, to_y in points[i + 1 :]:
                edge = _chord(z, y, to_z, to_y)
                height = sign * (y + edge * (query - z))
                better = (z <= query) & (query <= to_z) & (z < to_z) & (height < least)
                slope, least = torch.where(better, edge, slope), torch.where(better, height, least)
        found.append(slope)
    return found


def _through_bowl(op: Curve, pre: Interval, queries: list[Tensor], lower: bool, a: Tensor, b: Tensor) -> list[Tensor]:
    """Slopes of the envelope that touches f at l, at u, and between p and q in the convex piece [a, b]."""
    l, u = pre.lower, pre.upper
    left, right = a > l, b < u
    if not bool((left | right).any()):
        return [op.derivative(z) for z in queries]
    (p, p_fits), (q, q_fits) = _tangent(op, b, a, l, left, lower), _tangent(op, a, b, u, right, lower)
    at_l, at_u = op.evaluate(l), op.evaluate(u)
    chord = _chord(l, at_l, u, at_u)
    # Where even the tangent of the near end is below the far point, the envelope has a corner there.
    to_p = torch.where(left & (p == a), _chord(l, at_l, p, op.evaluate(p)), op.derivative(p))
    to_q = torch.where(right & (q == b), _chord(q, op.evaluate(q), u, at_u), op.derivative(q))
    curved = p_fits & q_fits & (p <= q)
    return [torch.where(curved, torch.where(z < p, to_p, torch.where(z > q, to_q, op.derivative(z))), chord)
            for z in queries]


def _tangent(op: Curve, start: Tensor, end: Tensor, far: Tensor, needed: Tensor, lower: bool) -> tuple[Tensor, Tensor]:
    """The point of the convex piece from `start` to `end` whose tangent passes through (far, f(far)), far beyond `end`:
    the last one seen from `start` whose tangent is still below; `end` where it is not `needed`. And whether there is
    one: not if even the tangent at `start` is above."""
    if not bool(needed.any()):
        return end, torch.ones_like(needed)
    if not bool(needed.all()):
        point, fits = end.clone(), torch.ones_like(needed)
        part = (x[needed] for x in (start, end, far, needed))
        point[needed], fits[needed] = _tangent(op, *part, lower)
        return point, fits
    sign = 1.0 if lower else -1.0
    height = op.evaluate(far)

    def below(z: Tensor) -> Tensor:
        return sign * (op.evaluate(z) + op.derivative(z) * (far - z) - height) <= 0

    fits, whole = below(start), below(end)
    kept, beyond = start, end
    for _ in range(BISECTIONS):
        middle = (kept + beyond) / 2
        fine = below(middle)
        kept, beyond = torch.where(fine, middle, kept), torch.where(fine, beyond, middle)
    return torch.where(whole, end, kept), fits
