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

from verify.ops.curve import Curve, Pairs
from verify.ops.zero import zero_between
from verify.relaxations.base import Lines
from verify.sets import Interval

NEAR_END = 1 / 16
"""The alternative slopes support the envelope this share of the width away from the ends, where f' is finite."""


def intercept(op: Curve, pre: Interval, slope: Tensor, lower: bool) -> Tensor:
    """The largest t with slope z + t <= f(z) on [l, u] (the smallest with >= for the upper line), rounded outward; -inf
    (inf) where nothing is known: undefined f, infinite ends, overflow.

    `pre` (n or 1, *shape), `slope` (n, *shape) or, with rows, (n, r, *shape), and so is the result. Differentiable in
    the slope (envelope theorem: the derivative is -z at the minimum)."""
    return support(op, pre, slope, lower)[0]


def support(op: Curve, pre: Interval, slope: Tensor, lower: bool) -> tuple[Tensor, Tensor]:
    """`intercept`, and about the z in [l, u] at which the line touches f: minus the derivative of the intercept."""
    if slope.dim() > pre.lower.dim():
        pre = Interval(pre.lower.unsqueeze(1), pre.upper.unsqueeze(1))
    finfo = torch.finfo(slope.dtype)
    sign = 1.0 if lower else -1.0

    def gap(z: Tensor, y: Tensor, error: Tensor) -> Tensor:
        """At most sign (f(z) - slope z)."""
        product = slope * z
        # What overflows is at least half the largest number.
        y = y.clamp(max=finfo.max / 2) if lower else y.clamp(min=-finfo.max / 2)
        return sign * (y - product) - (4 * finfo.eps * (y.abs() + product.abs()) + (error + finfo.tiny))

    (l, at_l), *others = op.anchors(pre, lower)
    least, nearest = gap(l, at_l, op.error(l, at_l)), l
    for z, y in others:
        least, nearest = _lower_of(least, nearest, gap(z, y, op.error(z, y)), z)
    for a, b in op.pieces(pre, slope.detach(), lower):
        with torch.no_grad():
            c = op.stationary(slope, a, b, lower).maximum(a).minimum(b)
            y, steep = op.both(c)
            error, steep_error = op.errors(c, y, steep)
            loss = _loss(steep, steep_error, slope, sign, c - a, b - c)
        least, nearest = _lower_of(least, nearest, gap(c, y, error) - loss, c)
    least = least - op.slack(pre)
    limit = op.bottom if lower else -op.top
    if limit > -torch.inf:  # f is above `bottom` everywhere: better on huge intervals
        steepest = torch.maximum(sign * slope * pre.lower, sign * slope * pre.upper)
        least = torch.maximum(least, limit - steepest - 4 * finfo.eps * (steepest.abs() + abs(limit)) - finfo.tiny)
    least = torch.where(op.defined(pre), least, -torch.inf).nan_to_num(-torch.inf, -torch.inf, -torch.inf)
    return sign * least, nearest


def _lower_of(least: Tensor, nearest: Tensor, value: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """The lower of two values, and where it is; NaN stays."""
    return torch.minimum(least, value), torch.where(value < least, z, nearest)


def _loss(steep: Tensor, error: Tensor, slope: Tensor, sign: float, left: Tensor, right: Tensor) -> Tensor:
    """Bounds g(c) - min g on the convex piece [c - left, c + right] of g(z) = sign (f(z) - slope z), where f'(c) is
    within `error` of `steep`."""
    finfo = torch.finfo(slope.dtype)
    error = error + 4 * finfo.eps * (steep.abs() + slope.abs())
    rise = sign * (steep - slope)
    # NaN: an infinite derivative times no room, or in the other direction.
    rising, falling = (((x + error).clamp(min=0) * room).nan_to_num(0.0, torch.inf) for x, room in
                       ((rise, left), (-rise, right)))
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


def _hull(points: Pairs, queries: list[Tensor], lower: bool) -> list[Tensor]:
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
    (p, p_fits), (q, q_fits) = (_tangent(op, a, b, l, left, lower, False),
                                _tangent(op, a, b, u, right, lower, True))
    at_l, at_u = op.evaluate(l), op.evaluate(u)
    chord = _chord(l, at_l, u, at_u)
    (at_p, to_p), (at_q, to_q) = op.both(p), op.both(q)
    # Where even the tangent of the near end is below the far point, the envelope has a corner there.
    to_p = torch.where(left & (p == a), _chord(l, at_l, p, at_p), to_p)
    to_q = torch.where(right & (q == b), _chord(q, at_q, u, at_u), to_q)
    curved = p_fits & q_fits & (p <= q)
    return [torch.where(curved, torch.where(z < p, to_p, torch.where(z > q, to_q, op.derivative(z))), chord)
            for z in queries]


def _tangent(op: Curve, a: Tensor, b: Tensor, far: Tensor, needed: Tensor, lower: bool, right: bool
             ) -> tuple[Tensor, Tensor]:
    """The point of the convex piece [a, b] whose tangent passes through (far, f(far)), `far` being right (left) of it;
    the end next to `far` where its tangent is still below, or where no point is `needed`. And whether there is one: not
    if even the tangent of the other end is above."""
    if not bool(needed.all()):
        point, fits = (b if right else a).clone(), torch.ones_like(needed)
        if bool(needed.any()):
            part = (x[needed] for x in (a, b, far, needed))
            point[needed], fits[needed] = _tangent(op, *part, lower, right)
        return point, fits
    near, other, height = (b, a, op.evaluate(far)) if right else (a, b, op.evaluate(far))
    sign = -1.0 if lower else 1.0

    def place(share: Tensor) -> Tensor:
        # On wide pieces, f mostly bends close to where it stops to be convex.
        return near + (other - near) * share.square().square()

    def below(share: Tensor) -> Tensor:
        """How far the tangent is below (far, f(far)): it rises with the distance from `near`."""
        z = place(share)
        y, d = op.both(z)
        return sign * (y + d * (far - z) - height)

    zero, one = torch.zeros_like(far), torch.ones_like(far)
    return torch.where(below(zero) >= 0, near, place(zero_between(zero, one, below))), below(one) >= 0
