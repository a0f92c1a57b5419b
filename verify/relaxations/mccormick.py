"""Products: McCormick's envelopes with a weight between the two planes of each side.

For x1 in [l1, u1], x2 in [l2, u2] and t in [0, 1]

    x1 x2 >= (1 - t) (l2 x1 + l1 x2 - l1 l2) + t (u2 x1 + u1 x2 - u1 u2)
    x1 x2 <= (1 - t) (u2 x1 + l1 x2 - l1 u2) + t (l2 x1 + u1 x2 - u1 l2)

(McCormick 1976; a mixture of sound planes is sound, so the weight is free for an optimiser.) The product is bilinear,
so for any slopes s1, s2 the best intercept is attained at a corner: it is computed from the slopes as they are stored,
which charges their rounding.
"""

from __future__ import annotations

import torch
from torch import Tensor

from verify.relaxations.base import Planes
from verify.sets import Interval

Pair = tuple[Tensor, Tensor]


def plane_slopes(a: Interval, b: Interval) -> tuple[tuple[Pair, Pair], tuple[Pair, Pair]]:
    """((first, second) of the lower plane, (first, second) of the upper plane), each the slopes on (x1, x2)."""
    return ((b.lower, a.lower), (b.upper, a.upper)), ((b.upper, a.lower), (b.lower, a.upper))


def corner_intercept(a: Interval, b: Interval, slopes: Pair, lower: bool) -> Tensor:
    """The largest t with s1 x1 + s2 x2 + t <= x1 x2 on the box (the smallest with >= for `lower=False`), rounded
    outward, for any slopes; no bound (infinite) where the box has none."""
    sign, eps, tiny = (1.0 if lower else -1.0), torch.finfo(a.lower.dtype).eps, torch.finfo(a.lower.dtype).tiny
    best = None
    for x in (a.lower, a.upper):
        for y in (b.lower, b.upper):
            parts = (x * y, slopes[0] * x, slopes[1] * y)
            size = parts[0].abs() + parts[1].abs() + parts[2].abs()
            value = sign * (parts[0] - parts[1] - parts[2]) - (4 * eps * size + 4 * tiny)
            best = value if best is None else torch.minimum(best, value)
    return sign * torch.nan_to_num(best, nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)


def mixed_slopes(pair: tuple[Pair, Pair], weight: Tensor) -> Pair:
    """The slopes (1 - t) first + t second for the weights t."""
    return tuple(first + weight * (second - first) for first, second in zip(*pair, strict=True))


def balanced(a: Interval, b: Interval) -> tuple[Tensor, Tensor]:
    """Starting weights (lower, upper), (n, *shape): all planes of a side are equally far from the product at the centre
    of the box, so the one that is flatter towards 0 is as good as any: the middle."""
    half = torch.full_like(a.lower, 0.5)
    return half, half


def mccormick(a: Interval, b: Interval, weights: Tensor | None = None) -> Planes:
    """Planes on the box a x b; `weights` in [0, 1], projected, with a leading axis of 2 (lower, upper): each
    (n, *shape) or (n, r, *shape). Without them the balanced ones. An infinite end has no planes: slopes 0, infinite
    intercepts."""
    start, (low, up) = balanced(a, b) if weights is None else weights.clamp(0, 1), plane_slopes(a, b)
    bounded = torch.isfinite(a.lower + a.upper) & torch.isfinite(b.lower + b.upper)
    if start[0].dim() > a.lower.dim():
        a, b = (Interval(i.lower.unsqueeze(1), i.upper.unsqueeze(1)) for i in (a, b))
        bounded, (low, up) = bounded.unsqueeze(1), plane_slopes(a, b)
    lower, upper = mixed_slopes(low, start[0]), mixed_slopes(up, start[1])
    lower, upper = (tuple(torch.where(bounded, s, torch.zeros_like(s)) for s in side) for side in (lower, upper))
    return Planes(lower, corner_intercept(a, b, lower, True), upper, corner_intercept(a, b, upper, False))
