"""Boxes of every size, points that try to leave a bound, and how far float32 may be off at a point.

The latter is the running error of `tests.soundness.running_error`, with curves within `SMOOTH` of their values.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tests.soundness.running_error import running_error
from verify.graph import Graph
from verify.sets import Interval

SMOOTH = 2.0**-20


def random_box(shape: tuple[int, ...], generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Interval:
    """A box (1, *shape) of numbers of `dtype`: radii over many orders of magnitude, often equal, sometimes 0."""
    def uniform(low: float, high: float, *size: int) -> Tensor:
        return low + (high - low) * torch.rand(*size, generator=generator, dtype=torch.float64)

    count = math.prod(shape)
    scale = 10.0 ** uniform(-2, 2, 1)
    center = torch.randn(count, generator=generator, dtype=torch.float64) * scale
    one = 10.0 ** uniform(-8, 1, 1)
    radius = torch.where(uniform(0, 1, 1) < 0.7, one.expand(count), 10.0 ** uniform(-8, 1, count)) * scale
    radius = radius * (uniform(0, 1, count) > 0.15)
    lower, upper = (side.to(dtype).reshape(1, *shape) for side in (center - radius, center + radius))
    return Interval(lower, upper)


def random_points(box: Interval, count: int, generator: torch.Generator) -> Tensor:
    """Uniform points, corners and points on faces of the box (1, *shape): (count, *shape) float64; the ends first."""
    low, high = box.lower.double(), box.upper.double()
    share = torch.rand(count, *low.shape[1:], generator=generator, dtype=torch.float64)
    share[::3] = share[::3].round()
    share[1::3] = (3 * share[1::3] - 1).clamp(0, 1)
    share[0], share[-1] = 0.0, 1.0
    return (low + share * (high - low)).maximum(low).minimum(high)


def steepest_corners(graph: Graph, box: Interval, starts: Tensor, generator: torch.Generator) -> Tensor:
    """The corners that the gradients of random output directions at `starts` (k, *shape) point to, both ways:
    (2 k, *shape)."""
    x = starts.clone().requires_grad_()
    with torch.enable_grad():
        y = graph.evaluate(x).flatten(1)
        total = (y * torch.randn(y.shape, generator=generator, dtype=y.dtype)).sum()
        if not total.requires_grad:
            return starts[:0]
        (gradient,) = torch.autograd.grad(total, x)
    low, high = box.lower.double(), box.upper.double()
    return torch.cat([torch.where(gradient > 0, high, low), torch.where(gradient > 0, low, high)])


def float32_numbers(points: Tensor, box: Interval) -> Tensor:
    """The points of a box with float32 ends, rounded to float32 numbers inside it (float64 tensor)."""
    return points.float().double().maximum(box.lower.double()).minimum(box.upper.double())


def float32_error(graph: Graph, x: Tensor) -> dict[str, Tensor]:
    """Per node: how far any float32 execution of the primitives may be from the exact value at x (n, *shape)."""
    return running_error(graph, x, torch.float32, SMOOTH)[1]
