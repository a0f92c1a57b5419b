"""Erf."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from verify.ops.curve import ULPS, Curve

PEAK = 2 / math.sqrt(math.pi)


@dataclass(frozen=True, eq=False)
class Erf(Curve):
    """y = erf(x)."""

    breaks, bends = (0.0,), (1, -1)
    bottom, top = -1.0, 1.0

    def evaluate(self, *xs: Tensor) -> Tensor:
        return torch.erf(xs[0])

    def derivative(self, x: Tensor) -> Tensor:
        return PEAK * torch.exp(-x.square())

    def derivative_error(self, x: Tensor, d: Tensor) -> Tensor:
        finfo = torch.finfo(d.dtype)
        return (ULPS + 2 * x.square().clamp(max=1000)) * finfo.eps * d + finfo.tiny

    def stationary(self, slope: Tensor, a: Tensor, b: Tensor, convex: bool) -> Tensor:
        share = (slope / PEAK).clamp(torch.finfo(slope.dtype).tiny, 1)
        z = (-share.log()).sqrt()
        return -z if convex else z
