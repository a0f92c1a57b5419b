"""Sets that the analyses compute with: intervals of tensors.

Rounding rule of the whole package: a bound is an outer bound. Everything that computes one in floating point widens it
by the error it can have made (`gamma`), so that no later stage needs tolerances.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from verify.errors import BrokenInvariant, OutOfResources


def gamma(terms: int, dtype: torch.dtype) -> float:
    """Relative error of a sum of `terms` rounded products, in any order (Higham 2002, eq. 3.4): n u / (1 - n u).

    Eight extra roundings are charged for the operations around the sum.
    """
    unit = torch.finfo(dtype).eps / 2
    n = (terms + 8) * unit
    if n >= 0.5:
        raise OutOfResources(f"sums of {terms} terms are too long for rigorous bounds in {dtype}; float64 may do")
    relative = n / (1 - n)
    # What it is multiplied with is a computed sum of as many terms, which may itself have come out too small.
    return relative * (1 + 2 * relative)


def underflow(dtype: torch.dtype) -> float:
    """What a coefficient, and a sum, is off by at most after up to 1 / eps products that fell below the normal numbers,
    in units in which rounding errors of eps are charged: tiny / eps^2. (Products that underflow have no relative error
    bound; subnormal numbers may be flushed to zero.)"""
    info = torch.finfo(dtype)
    return info.tiny / info.eps**2


def entries(x: Tensor, lead: int) -> Tensor:
    """(`lead` axes, *shape) -> (`lead` axes, entries); a scalar has one entry."""
    return x.flatten(lead) if x.dim() > lead else x.unsqueeze(lead)


@dataclass(frozen=True)
class Interval:
    """Elementwise lower <= value <= upper; both (n, *shape), n domains."""

    lower: Tensor
    upper: Tensor

    def meet(self, other: Interval) -> Interval:
        """The intersection. An empty one is impossible (both enclose the same values) and raises."""
        lower, upper = torch.maximum(self.lower, other.lower), torch.minimum(self.upper, other.upper)
        if not bool((lower <= upper).all()):
            raise BrokenInvariant("two bounds of the same values do not overlap (or are not numbers)")
        return Interval(lower, upper)

    @property
    def magnitude(self) -> Tensor:
        """Largest absolute value, elementwise."""
        return torch.maximum(self.lower.abs(), self.upper.abs())

    @property
    def center(self) -> Tensor:
        return self.lower + (self.upper - self.lower) / 2

    @property
    def width(self) -> Tensor:
        return self.upper - self.lower

    def contains(self, x: Tensor) -> Tensor:
        """One boolean per domain."""
        return entries((self.lower <= x) & (x <= self.upper), 1).all(1)

    def to(self, *args, **kwargs) -> Interval:
        """Moved to a device, or to another dtype rounding outward."""
        lower, upper = self.lower.to(*args, **kwargs), self.upper.to(*args, **kwargs)
        if lower.dtype != self.lower.dtype and torch.finfo(lower.dtype).eps > torch.finfo(self.lower.dtype).eps:
            down = torch.nextafter(lower, torch.full_like(lower, -torch.inf))
            up = torch.nextafter(upper, torch.full_like(upper, torch.inf))
            lower = torch.where(lower.to(self.lower.dtype) > self.lower, down, lower)
            upper = torch.where(upper.to(self.upper.dtype) < self.upper, up, upper)
        return Interval(lower, upper)

    def __getitem__(self, key) -> Interval:
        """Selects domains (first axis)."""
        return Interval(self.lower[key], self.upper[key])

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """`count` uniform points of the first domain's box: (count, *shape)."""
        noise = torch.rand(count, *self.lower.shape[1:], dtype=self.lower.dtype, generator=generator)
        points = self.lower[:1] + noise.to(self.lower.device) * (self.upper[:1] - self.lower[:1])
        return torch.minimum(torch.maximum(points, self.lower[:1]), self.upper[:1])
