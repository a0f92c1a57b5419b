"""ReLU: chord above, a line through the origin below.

For l < 0 < u: relu(z) <= u/(u-l) (z - l) (the chord) and relu(z) >= alpha z for every alpha in [0, 1]. Stable neurons
are exact. Sources: Wong and Kolter 2018 (parallel lower line), CROWN (Zhang et al. 2018, adaptive lower line),
alpha-CROWN (Xu et al. 2021, alpha optimised).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from verify.relaxations.base import Lines
from verify.sets import Interval, entries


def chord(pre: Interval) -> tuple[Tensor, Tensor]:
    """Slope and intercept of an upper line, sound as stored.

    Any slope in [0, 1] is sound with the intercept max(-slope l, (1 - slope) u): that line is above 0 at l and above u
    at u, hence above the convex ReLU in between. The intercept's own rounding is added: where the slope is close to 1,
    u - slope u cancels and its error is relative to u.
    """
    lower, upper = pre.lower.clamp(max=0), pre.upper.clamp(min=0)
    slope = upper / (upper - lower).clamp(min=torch.finfo(lower.dtype).tiny)
    slope = slope.clamp(0, 1)
    eps = torch.finfo(lower.dtype).eps
    intercept = torch.maximum(-slope * lower, (upper - slope * upper) + eps * upper)
    intercept = intercept * (1 + 4 * eps) + torch.finfo(lower.dtype).tiny  # products may have underflowed
    # Exact on stable neurons: relu(z) = z or 0.
    active, inactive = pre.lower >= 0, pre.upper <= 0
    zero, one = torch.zeros_like(slope), torch.ones_like(slope)
    slope = torch.where(active, one, torch.where(inactive, zero, slope))
    return slope, torch.where(active | inactive, zero, intercept)


@dataclass(frozen=True)
class PlainReluLines:
    """CROWN's lines up to rounding, differentiated in few passes over the neurons: for training, never for a verdict.

    With l' = min(l, 0) and u' = max(u, 0) the formulas of unstable neurons hold for stable ones: the slope
    u' / (u' - l') is 1 or 0 and the intercept 0.
    """

    pre: Interval

    def pull_back(self, coeff: Tensor) -> tuple[Tensor, Tensor]:
        """As `Lines.pull_back`."""
        lower, upper = self.pre.lower, self.pre.upper
        n = max(len(coeff), len(lower))
        return _PlainPullBack.apply(*(x.expand(n, *x.shape[1:]) if len(x) < n else x for x in (coeff, lower, upper)))


class _PlainPullBack(torch.autograd.Function):
    """Rows A (n, r, *shape) on relu(z), z in [l, u] (n, *shape) -> rows on z, and their offset (n, r).

        rows = A+ [u > -l] + A- s,   offset = -(A- s) . l',   s = u' / d,   d = u' - l'

    The gradients are written out because the chain of small operations costs three times the memory traffic.
    """

    @staticmethod
    def forward(ctx, coeff: Tensor, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        low, high = lower.clamp(max=0), upper.clamp(min=0)
        width = (high - low).clamp_(min=torch.finfo(lower.dtype).tiny)
        slope = high.div_(width)
        negative = coeff.clamp(max=0).mul_(slope.unsqueeze(1))
        offset = _row_dot(negative, low).neg_()
        rows = coeff.clamp(min=0).mul_((upper > -lower).unsqueeze(1)).add_(negative)
        ctx.save_for_backward(coeff, lower, upper, slope, width)
        return rows, offset

    @staticmethod
    def backward(ctx, to_rows: Tensor, to_offset: Tensor) -> tuple[Tensor | None, ...]:
        coeff, lower, upper, slope, width = ctx.saved_tensors
        low, to_offset = lower.clamp(max=0), to_offset.reshape(*to_offset.shape, *[1] * (coeff.dim() - 2))
        # What one more unit of A- s gains, (n, r, *shape).
        gain = to_rows - to_offset * low.unsqueeze(1)
        to_coeff = torch.where(coeff < 0, gain * slope.unsqueeze(1), to_rows * (upper > -lower).unsqueeze(1))
        negative = coeff.clamp(max=0)
        to_slope = gain.mul_(negative).sum(1).div_(width)
        to_upper = (to_slope * low).div_(width).neg_().mul_(upper > 0)
        to_lower = to_slope.mul_(slope).sub_(negative.mul_(to_offset).sum(1).mul_(slope)).mul_(lower < 0)
        return to_coeff, to_lower, to_upper


def _row_dot(rows: Tensor, line: Tensor) -> Tensor:
    """(n, r, *shape) . (n, *shape) -> (n, r)."""
    return (entries(rows, 2) @ entries(line, 1).unsqueeze(2)).squeeze(2)


def _adaptive(pre: Interval) -> Tensor:
    """CROWN's rule: the smaller of the two areas between chord and lower line."""
    return (pre.upper > -pre.lower).to(pre.lower.dtype)


def _parallel(pre: Interval) -> Tensor:
    """Fast-Lin: parallel to the chord."""
    return chord(pre)[0].detach()


LOWER_SLOPES = MappingProxyType({
    "adaptive": _adaptive,
    "parallel": _parallel,
    "zero": lambda pre: torch.zeros_like(pre.lower),
    "one": lambda pre: torch.ones_like(pre.lower),
})
"""The usual choices of the lower line's slope for unstable neurons."""


def relu_lines(pre: Interval, alpha: Tensor | None = None, rule: str = "adaptive") -> Lines:
    """Lines for the pre-activation interval (n, *shape).

    `alpha`: lower slopes of the unstable neurons, (n, *shape) or per row (n, r, *shape); values outside [0, 1] are
    projected. None takes `rule` from `LOWER_SLOPES`.
    """
    slope, intercept = chord(pre)
    lower = LOWER_SLOPES[rule](pre) if alpha is None else alpha.clamp(0, 1)
    per_row = lower.dim() > slope.dim()
    active, inactive = pre.lower >= 0, pre.upper <= 0
    if per_row:
        active, inactive = active.unsqueeze(1), inactive.unsqueeze(1)
    lower = torch.where(active, torch.ones_like(lower), torch.where(inactive, torch.zeros_like(lower), lower))
    return Lines(lower, None, slope, intercept)
