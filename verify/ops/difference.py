"""How far apart two copies of a network are: the difference of a curve at two points, and of two linear maps.

With v the value in the first network and d = v - v' its distance from the value v' in the second one

    Difference(h):  (v, d) -> h(v) - h(v - d)
    Change:         v -> W v + b - (W' v + b')

The mean value theorem bounds the first by slopes: h(v) - h(v') = s d for some slope s of h between v' and v. For ReLU
the difference is known exactly: it is d between 0 and v for d >= 0 (min(max(v, 0), d)), and the mirror image for d < 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from verify.errors import BrokenInvariant, ShapeMismatch
from verify.ops.base import LinearOp, Op, Shape
from verify.ops.curve import Curve
from verify.ops.relu import Relu
from verify.sets import Interval, gamma

Slopes = tuple[Tensor, Tensor]


def subtracted(first: Interval, second: Interval) -> Interval:
    """Encloses a - b for a in the first and b in the second interval; no bound where infinities meet."""
    return _outward(first.lower - second.upper, first.upper - second.lower)


def _outward(lower: Tensor, upper: Tensor) -> Interval:
    """Ends that were rounded once, moved outward by that."""
    eps, tiny = torch.finfo(lower.dtype).eps, torch.finfo(lower.dtype).tiny
    lower, upper = lower - (eps * lower.abs() + tiny), upper + (eps * upper.abs() + tiny)
    return Interval(lower.nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf),
                    upper.nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf))


def hull(first: Interval, second: Interval) -> Interval:
    """The smallest interval that contains both."""
    return Interval(torch.minimum(first.lower, second.lower), torch.maximum(first.upper, second.upper))


def slope_range(op: Op, pre: Interval) -> Slopes:
    """(m, M): every difference quotient of the function between two points of `pre` lies in [m, M], rounding included;
    infinite where there is no bound."""
    if isinstance(op, Curve):
        slopes = op.slopes(pre)
        return slopes.lower, slopes.upper
    if isinstance(op, Relu):
        return (pre.lower >= 0).to(pre.lower.dtype), (pre.upper > 0).to(pre.lower.dtype)
    raise BrokenInvariant(f"the slopes of {type(op).__name__} are not known")


def has_slopes(op: Op) -> bool:
    """True when differences of this function are bounded."""
    return isinstance(op, (Curve, Relu))


def scaled(slopes: Slopes, d: Interval) -> Interval:
    """Encloses s d for s in [m, M] and d in its interval: the extreme corners, rounded outward; exactly 0 for d = 0."""
    corners = torch.stack([s * end for s in slopes for end in (d.lower, d.upper)])
    bound = _outward(corners.amin(0), corners.amax(0))  # amin and amax pass NaN (0 times an infinite slope) on
    still = (d.magnitude == 0) & torch.isfinite(slopes[0]) & torch.isfinite(slopes[1])
    return Interval(bound.lower.masked_fill(still, 0), bound.upper.masked_fill(still, 0))


@dataclass(frozen=True, eq=False)
class Difference(Op):
    """`base`(v) - `base`(v - d), for the two inputs v and d of one shape."""

    base: Op

    def output_shape(self, *shapes: Shape) -> Shape:
        if len(shapes) != 2 or shapes[0] != shapes[1]:
            raise ShapeMismatch(f"a value and a difference of shapes {[list(s) for s in shapes]} do not fit")
        return shapes[0]

    def to(self, device: torch.device, dtype: torch.dtype) -> Difference:
        return replace(self, base=self.base.to(device, dtype))

    def evaluate(self, *xs: Tensor) -> Tensor:
        v, d = xs
        if isinstance(self.base, Relu):
            return relu_difference(v, d)
        return self.base.evaluate(v) - self.base.evaluate(v - d)

    def interval(self, *inputs: Interval) -> Interval:
        v, d = inputs
        if isinstance(self.base, Relu):
            return _relu_interval(v, d)
        other = subtracted(v, d)
        coupled = scaled(slope_range(self.base, hull(v, other)), d)
        apart = subtracted(self.base.interval(v), self.base.interval(other))
        return coupled.meet(apart)


def relu_difference(v: Tensor, d: Tensor) -> Tensor:
    """relu(v) - relu(v - d) without cancellation."""
    return torch.where(d >= 0, torch.minimum(v.clamp(min=0), d), -torch.minimum((v - d).clamp(min=0), -d))


def _relu_interval(v: Interval, d: Interval) -> Interval:
    """The difference grows with d; it grows with v for d >= 0 and falls with v for d < 0. The ends differ from the
    exact ones by the rounding of v - d."""
    other = subtracted(v, d)
    low = torch.where(d.lower >= 0, torch.minimum(v.lower.clamp(min=0), d.lower),
                      -torch.minimum(other.upper.clamp(min=0), -d.lower))
    high = torch.where(d.upper >= 0, torch.minimum(v.upper.clamp(min=0), d.upper),
                       -torch.minimum(other.lower.clamp(min=0), -d.upper))
    return Interval(low, high)


@dataclass(frozen=True, eq=False)
class Change(LinearOp):
    """W v + b - (W' v + b'), computed by `step`, whose weights and offset are the differences in float64.

    The weights of an imported network may be off by a few roundings (a batch normalisation's quotient), which are not
    small compared with a difference: they are charged by the sizes of the terms, `size` with weights |W| + |W'| and
    offset |b| + |b'|.
    """

    step: LinearOp
    size: LinearOp

    def output_shape(self, *shapes: Shape) -> Shape:
        return self.step.output_shape(*shapes)

    def to(self, device: torch.device, dtype: torch.dtype) -> Change:
        return Change(self.step.to(device, dtype), self.size.to(device, dtype))

    def evaluate(self, *xs: Tensor) -> Tensor:
        return self.step.evaluate(*xs)

    def spread(self, *radii: Tensor) -> Tensor:
        return self.step.spread(*radii)

    def pull_back(self, coeff: Tensor, shapes: tuple[Shape, ...]) -> tuple[Tensor, ...]:
        return self.step.pull_back(coeff, shapes)

    def offset(self) -> Tensor | None:
        return self.step.offset()

    def pull_back_offset(self, coeff: Tensor, wide: bool = True) -> Tensor | None:
        return self.step.pull_back_offset(coeff, wide)

    def offset_magnitude(self) -> Tensor | None:
        return self.size.offset_magnitude()

    def terms(self, *shapes: Shape) -> int:
        return self.step.terms(*shapes)

    def rounding(self, *magnitudes: Tensor) -> Tensor:
        """`gamma` of one term has eight roundings to spare, which is what an importer may have made."""
        total = self.size.spread(*magnitudes)
        offset = self.size.offset_magnitude()
        total = total if offset is None else total + offset
        return self.step.rounding(*magnitudes) + gamma(1, torch.float64) * total
