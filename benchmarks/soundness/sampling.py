"""Boxes of every size, points that try to leave a bound, and how far float32 may be off at a point.

`float32_error` is a running error analysis (Wilkinson 1965; Higham 2002, section 3.3) over the graph of primitives:
e_v = |W| e_u + gamma_n (|W| (|u| + e_u) + |b|) at linear nodes, in any order of summation, with or without FMA; ReLU
and moves pass e on; sigmoid and tanh (slopes of at most 1) add `SMOOTH`, what a runtime may be off there.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from verify.graph import Graph
from verify.ops import Input, Relu
from verify.sets import Interval

SMOOTH = 2.0**-20
CPU = torch.device("cpu")


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
    values: dict[str, Tensor] = {}
    errors: dict[str, Tensor] = {}
    for node in graph.nodes:
        if isinstance(node.op, Input):
            values[node.name], errors[node.name] = x, torch.zeros_like(x)
            continue
        read, off = [values[i] for i in node.inputs], [errors[i] for i in node.inputs]
        value = values[node.name] = node.op.evaluate(*read)
        if not node.op.linear:
            errors[node.name] = off[0] if isinstance(node.op, Relu) else off[0] + SMOOTH
        elif getattr(node.op, "moves_only", False):
            errors[node.name] = node.op.spread(*off).expand_as(value) if off else torch.zeros_like(value)
        else:
            reach = [(v.abs() + e).float() for v, e in zip(read, off, strict=True)]
            own = node.op.to(CPU, torch.float32).rounding(*reach).double()
            errors[node.name] = (node.op.spread(*off) + own) if off else own.expand_as(value)
    return errors
