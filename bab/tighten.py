"""Intermediate bounds of the children of a split.

Fixing a ReLU makes its line exact, and a smaller range of a curve's argument its lines tighter, so the pre-activation
bounds of all later layers can be computed again, for every domain of a batch at once: one backward pass with CROWN's
slopes for each side of each argument that matters (a ReLU that is still unstable; any other neuron), on the collapsed
network, with the domain's own lines below. Rigorous: evaluated in float64 with all rounding
charged. The bounds hold on the domain only. Reference: the "complete" variant of branch and bound in Bunel et al. 2020.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from verify.bounds.dual import DualProblem
from verify.bounds.lines import DualLines
from verify.ops import Relu

CHUNK = 4096


@dataclass(frozen=True, eq=False)
class Tightened:
    """Bounds (n, z), and per domain how far a lower bound exceeds an upper one, (n,), which proves that it is empty;
    -inf where none does."""

    lower: Tensor
    upper: Tensor
    gap: Tensor


def tightening_flops(problem: DualProblem) -> int:
    """Operations for one domain when every later neuron is bounded again."""
    total, prefix = 0, 0
    for layer in problem.network.layers:
        total += 2 * layer.bias.numel() * (2 * prefix + 2 * layer.weight.shape[1])
        prefix += layer.weight.numel()
    return total


def tighten(problem: DualProblem, lower: Tensor, upper: Tensor, signs: Tensor | None, changed: Tensor) -> Tightened:
    """`problem` in float64; `lower`, `upper` (n, z); `signs` (n, u) of split ReLUs, None when splits are in the bounds;
    `changed` (n,) the layer in which a neuron was split: bounds of later layers are computed again."""
    net = problem.network
    known_lower, known_upper = lower, upper
    lower, upper = lower.clone(), upper.clone()
    for position, (layer, neurons_of, _, columns) in enumerate(net.spans):
        open_ = lower[:, columns] < upper[:, columns]
        if isinstance(layer.op, Relu):
            open_ = (lower[:, columns] < 0) & (upper[:, columns] > 0)
        if signs is not None:
            open_ &= signs[:, neurons_of] == 0
        open_ &= (changed < position).unsqueeze(1)
        domains, neurons = open_.nonzero(as_tuple=True)
        if not domains.numel():
            continue
        prefix = replace(net, layers=net.layers[:position], row_weight=layer.weight[:0], row_bias=layer.bias[:0],
                         row_error=layer.error[:0])
        below = DualProblem(prefix, DualLines.of(prefix, lower[:, : columns.start], upper[:, : columns.start]))
        for part in torch.arange(domains.numel(), device=domains.device).split(CHUNK):
            d, k = domains[part], neurons[part]
            fixed = None if signs is None else signs[:, : neurons_of.start]
            low, high = (_rows(below, layer, d, k, fixed, side) for side in (1.0, -1.0))
            at = columns.start + k
            lower[d, at] = torch.fmax(lower[d, at], low)
            upper[d, at] = torch.fmin(upper[d, at], -high)
    crossed = lower > upper
    gap = torch.where(crossed, lower - upper, -torch.inf).amax(1) if lower.shape[1] else lower.new_full(
        (lower.shape[0],), -torch.inf)
    return Tightened(torch.where(crossed, known_lower, lower), torch.where(crossed, known_upper, upper), gap)


def _rows(below: DualProblem, layer, domains: Tensor, neurons: Tensor, signs: Tensor | None, side: float) -> Tensor:
    """Rigorous lower bounds of side * z for the listed neurons, each on its own domain."""
    own = DualProblem(below.network, below.lines[domains])
    start = (side * layer.weight[neurons], side * layer.bias[neurons])
    params = own.initial(layer.weight.new_zeros(domains.numel(), 0))
    return own.rigorous(params, None if signs is None else signs[domains], start, layer.error[neurons])
