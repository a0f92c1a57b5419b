"""Zeros of rising functions, elementwise, by Ridders' method (Ridders 1979): two values per step, the bracket at least
halves, and the error is about squared once it is small."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

STEPS = 8


def zero_between(low: Tensor, high: Tensor, function: Callable[[Tensor], Tensor], steps: int = STEPS) -> Tensor:
    """Approximate zero of a rising function on [low, high]; near the end that is closer to one if there is none.

    The middle m halves the bracket; then the line through the values, straightened by an exponential factor, has its
    zero at m - (m - low) f(m) / sqrt(f(m)^2 - f(low) f(high))."""
    at_low, at_high = function(low), function(high)
    best = torch.where(at_low.abs() < at_high.abs(), low, high)
    for _ in range(steps):
        middle = (low + high) / 2
        value = function(middle)
        root = (value.square() - at_low * at_high).clamp(min=0).sqrt()
        z = middle - (middle - low) * (value / root).nan_to_num(0.0, 0.0, 0.0)
        best = torch.where(root > 0, z, best).maximum(low).minimum(high)
        low, at_low, high, at_high = _bracket(low, at_low, high, at_high, middle, value)
        low, at_low, high, at_high = _bracket(low, at_low, high, at_high, best, function(best))
    return best


def _bracket(low: Tensor, at_low: Tensor, high: Tensor, at_high: Tensor, z: Tensor, at_z: Tensor
             ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The part of [low, high] on one side of z in which the function changes its sign."""
    up, down = (at_z < 0) & (z > low), (at_z >= 0) & (z < high)
    return (torch.where(up, z, low), torch.where(up, at_z, at_low),
            torch.where(down, z, high), torch.where(down, at_z, at_high))
