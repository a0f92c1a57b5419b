"""Planes around the difference of a function at two points, delta = h(v) - h(v'), v' = v - d.

Slopes first: any plane p v + q d + t is sound with the right intercept t, which is the better of

    coupled:  delta = s d with a slope s of h in [m, M], so min(m d, M d) <= delta <= max(m d, M d); both sides are
              piecewise linear in d, and p v + q d + t is compared with them at the ends of the box,
    apart:    p v + q d = (p + q) v - q v': the lines of slope p + q around h(v) and of slope q around h(v').

For ReLU delta is piecewise linear in (v, d) with the kinks v = 0 and v = d, so the best intercept is attained at a
corner of the box, where a kink leaves the box, or where the kinks meet: it is exact for every slope. Candidates:

    the chord of max(m d, M d) (ReLU: D (d - D') / (D - D') for D' <= d <= D), which does not look at v: the best where
    the two networks are close to each other,
    the lines of each network alone, subtracted,
    for ReLU the chord of min(max(v, 0), D), and of its mirror image.

Of these the two with the smallest volume (least height at the centre of the box) are kept per neuron and side, the
better one first; an optimiser mixes their slopes. (On random boxes the best one is 1 to 8 % above the best plane of
all.) Neurons that are stable in both networks are exact. Sources: ReluDiff and NeuroDiff (Paulsen et al. 2020) for the
differences of neurons and the chords in d.
"""

from __future__ import annotations

import torch
from torch import Tensor

from verify.ops import Op, Relu
from verify.ops.difference import Difference, hull, relu_difference, slope_range, subtracted
from verify.relaxations import curve
from verify.relaxations.base import Planes
from verify.relaxations.relu import LOWER_SLOPES, chord
from verify.sets import Interval

Pair = tuple[Tensor, Tensor]
"""Slopes on v and on d."""


def difference_planes(op: Difference, v: Interval, d: Interval, weights: Tensor | None = None) -> Planes:
    """Planes on the box v x d, each (n, *shape); `weights` in [0, 1], projected, with a leading axis of 2 (lower,
    upper), lead from the better candidate to the other, each (n, *shape) or (n, r, *shape). Without finite bounds:
    slopes 0 and infinite intercepts."""
    low, up = candidate_slopes(op, v, d)
    if weights is not None:
        weights = weights.clamp(0, 1)
        if weights.dim() > v.lower.dim() + 1:
            v, d = (Interval(i.lower.unsqueeze(1), i.upper.unsqueeze(1)) for i in (v, d))
            low, up = (tuple(tuple(s.unsqueeze(1) for s in pair) for pair in side) for side in (low, up))
        lower, upper = (tuple(a + w * (b - a) for a, b in zip(*pair, strict=True))
                        for pair, w in zip((low, up), weights, strict=True))
    else:
        lower, upper = low[0], up[0]
    return Planes(lower, intercept(op, v, d, lower, True), upper, intercept(op, v, d, upper, False))


def candidate_slopes(op: Difference, v: Interval, d: Interval) -> tuple[tuple[Pair, Pair], tuple[Pair, Pair]]:
    """((first, second) of the lower plane, (first, second) of the upper plane), each the slopes on (v, d), (n, *shape);
    the first ones are better on their own."""
    settled, exact = exact_slopes(op.base, v, d)
    sides = []
    for lower in (True, False):
        p, q = (torch.stack(torch.broadcast_tensors(*column)) for column in
                zip(*_candidates(op.base, v, d, lower), strict=True))
        finite = torch.isfinite(p) & torch.isfinite(q)
        p, q = p.masked_fill(~finite, 0), q.masked_fill(~finite, 0)
        height = torch.stack([intercept(op, v, d, pair, lower) for pair in zip(p, q, strict=True)])
        height = height + p * v.center + q * d.center
        order = height.nan_to_num(nan=-torch.inf if lower else torch.inf).topk(2, 0, largest=lower).indices
        sides.append(tuple(tuple(torch.where(settled, e, s.gather(0, order[k : k + 1])[0])
                                 for e, s in zip(exact, (p, q), strict=True)) for k in range(2)))
    return sides[0], sides[1]


def exact_slopes(base: Op, v: Interval, d: Interval) -> tuple[Tensor, Pair]:
    """Where the difference is exactly a linear function without constant, and its slopes: d = 0, and ReLUs that are
    stable in both networks."""
    m, M = slope_range(base, hull(v, subtracted(v, d)))
    zero = torch.zeros_like(v.lower)
    settled = (d.lower == 0) & (d.upper == 0) & torch.isfinite(m) & torch.isfinite(M)
    if not isinstance(base, Relu):
        return settled, (zero, zero)
    other, still = subtracted(v, d), settled
    off, on = v.upper <= 0, v.lower >= 0
    other_off, other_on = other.upper <= 0, other.lower >= 0
    settled = still | ((off | on) & (other_off | other_on))
    first, second = (on & ~off & ~still).to(zero.dtype), (other_on & ~other_off & ~still).to(zero.dtype)
    return settled, (first - second, second)  # first v - second (v - d)


def _candidates(base: Op, v: Interval, d: Interval, lower: bool) -> list[Pair]:
    """Slopes worth a try; some may not be finite."""
    other = subtracted(v, d)
    m, M = slope_range(base, hull(v, other))
    zero = torch.zeros_like(v.lower)
    ends = [torch.minimum(m * end, M * end) if lower else torch.maximum(m * end, M * end) for end in (d.lower, d.upper)]
    along = (ends[1] - ends[0]) / (d.upper - d.lower).clamp(min=torch.finfo(zero.dtype).tiny)
    along = torch.minimum(torch.maximum(along, m), M)
    own, theirs = _line_slope(base, v, lower), _line_slope(base, other, not lower)
    found = [(zero, along), (own - theirs, theirs)]
    if isinstance(base, Relu):
        found.append(_clipped(other, -d.lower, True) if lower else _clipped(v, d.upper, False))
    return found


def _line_slope(base: Op, pre: Interval, lower: bool) -> Tensor:
    """A good slope for the function alone."""
    if isinstance(base, Relu):
        return LOWER_SLOPES["adaptive"](pre) if lower else chord(pre)[0]
    return curve.candidate_slopes(base, pre)[0 if lower else 1][0]


def _clipped(pre: Interval, top: Tensor, mirrored: bool) -> Pair:
    """Slopes of the chord of min(max(z, 0), top) over z in `pre` (0 where it is not crossed): below v that is an upper
    line of delta, above v' the mirror image of a lower one."""
    high = torch.minimum(pre.upper, top).clamp(min=0)
    slope = high / (high - pre.lower.clamp(max=0)).clamp(min=torch.finfo(high.dtype).tiny)
    return (-slope, slope) if mirrored else (slope, torch.zeros_like(slope))


def intercept(op: Difference, v: Interval, d: Interval, slopes: Pair, lower: bool) -> Tensor:
    """The largest known t with p v + q d + t <= h(v) - h(v - d) on the box (the smallest with >= for `lower=False`),
    rounded outward, for any finite slopes that broadcast against the box."""
    if isinstance(op.base, Relu):
        found = _relu_intercept(v, d, slopes, lower)
    else:
        sides = [side(op.base, v, d, slopes, lower) for side in (_coupled, _apart)]
        found = torch.maximum(*sides) if lower else torch.minimum(*sides)
    settled, exact = exact_slopes(op.base, v, d)
    same = settled & (slopes[0] == exact[0]) & (slopes[1] == exact[1])
    return torch.where(same, torch.zeros_like(found), found)


def _best(values: list[Tensor], lost: list[Tensor], lower: bool) -> Tensor:
    """Minimum (maximum) of computed values that are off by at most `lost`."""
    sign = 1.0 if lower else -1.0
    best = torch.stack([sign * value - off for value, off in zip(values, lost, strict=True)]).amin(0)
    return sign * best.nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)


def _relu_intercept(v: Interval, d: Interval, slopes: Pair, lower: bool) -> Tensor:
    """At the vertices of the pieces; points of the box that are none do no harm."""
    def inside(z: Tensor, box: Interval) -> Tensor:
        return torch.minimum(torch.maximum(z, box.lower), box.upper)

    p, q = slopes
    info, zero = torch.finfo(v.lower.dtype), torch.zeros_like(v.lower)
    points = [(x, y) for x in (v.lower, inside(zero, v), v.upper) for y in (d.lower, d.upper)]
    points += [(inside(y, v), y) for y in (d.lower, d.upper)] + [(x, inside(x, d)) for x in (v.lower, v.upper)]
    points.append((inside(zero, v), inside(zero, d)))
    values, lost = [], []
    for x, y in points:
        parts = relu_difference(x, y), p * x, q * y
        values.append(parts[0] - parts[1] - parts[2])
        lost.append(4 * info.eps * sum(part.abs() for part in parts) + 4 * info.tiny)
    return _best(values, lost, lower)


def _coupled(base: Op, v: Interval, d: Interval, slopes: Pair, lower: bool) -> Tensor:
    """min over the box of min(m d, M d) - p v - q d, which is concave in d: at the corners."""
    m, M = slope_range(base, hull(v, subtracted(v, d)))
    info, (p, q) = torch.finfo(v.lower.dtype), slopes
    values, lost = [], []
    for y in (d.lower, d.upper):
        bound = torch.minimum(m * y, M * y) if lower else torch.maximum(m * y, M * y)
        for x in (v.lower, v.upper):
            values.append(bound - p * x - q * y)
            lost.append(4 * info.eps * (bound.abs() + (p * x).abs() + (q * y).abs()) + 4 * info.tiny)
    return _best(values, lost, lower)


def _apart(base: Op, v: Interval, d: Interval, slopes: Pair, lower: bool) -> Tensor:
    """h(v) - (p + q) v and h(v') - q v', each bounded alone."""
    p, q = slopes
    other, total = subtracted(v, d), p + q
    first = curve.intercept(base, v, total, lower)
    second = curve.intercept(base, other, q, not lower)
    eps = torch.finfo(total.dtype).eps
    lost = eps * (first.abs() + second.abs() + (p.abs() + q.abs()) * v.magnitude) + torch.finfo(total.dtype).tiny
    return _best([first - second], [lost], lower)
