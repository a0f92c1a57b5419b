"""BaBSR (Bunel et al. 2020) in the orientation of a lower bound: how much the bound is expected to rise.

With r = u / (u - l), coefficient a and bias b of the neuron, the intercept -min(a,0) l r ... vanishes in both children,
and the slope changes move the bias: active child a b (1 - r), inactive child -a b r. The score is the smaller of both
children's changes plus the intercept."""

from __future__ import annotations

import torch
from torch import Tensor

from bab.branching.base import NeuronView


def intercept(view: NeuronView) -> Tensor:
    """max(-a, 0) (-l u) / (u - l): what the chord loses at most, (n, u)."""
    return (-view.coeff).clamp(min=0) * (-view.lower * view.upper / (view.upper - view.lower).clamp(min=1e-30))


def babsr(view: NeuronView) -> Tensor:
    """Scores (n, u)."""
    ratio = view.upper / (view.upper - view.lower).clamp(min=1e-30)
    shift = view.coeff * view.bias
    return intercept(view) + torch.minimum(shift * (1 - ratio), -shift * ratio).abs() * 0.1


def relaxation_gap(view: NeuronView) -> Tensor:
    """|a| times the distance between the line in use and relu at the minimiser of the relaxed network, (n, u): zero
    where the relaxation is already exact, so splitting there cannot help at first order."""
    chord = view.upper / (view.upper - view.lower).clamp(min=1e-30) * (view.z - view.lower)
    line = torch.where(view.coeff >= 0, view.alpha * view.z, chord)
    return view.coeff.abs() * (line - view.z.clamp(min=0)).abs()
