"""Intermediate bounds of the children of a ReLU split.

Fixing a neuron makes its line exact, so the pre-activation bounds of all later layers can be computed again, tighter,
for every domain of a batch at once: one backward pass with CROWN's slopes for each side of each neuron that is still
unstable, on the collapsed network, with the domain's own lines below. Rigorous: evaluated in float64 with all rounding
charged. The bounds hold on the domain only. Reference: the "complete" variant of branch and bound in Bunel et al. 2020.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from verify.bounds.dual import DualLines, DualProblem

CHUNK = 4096


@dataclass(frozen=True, eq=False)
class Tightened:
    """Bounds (n, u), and per domain how far a lower bound exceeds an upper one, (n,): positive only if the domain is
    proved to be empty."""

    lower: Tensor
    upper: Tensor
    gap: Tensor


def tightening_flops(problem: DualProblem) -> int:
    """Operations for one domain when every later neuron is bounded again."""
    total, prefix = 0, 0
    for layer in problem.network.layers:
        total += 2 * layer.size * (2 * prefix + 2 * layer.weight.shape[1])
        prefix += layer.weight.numel()
    return total


def tighten(problem: DualProblem, lower: Tensor, upper: Tensor, signs: Tensor, changed: Tensor) -> Tightened:
    """`problem` in float64; `lower`, `upper`, `signs` (n, u); `changed` (n,) the layer in which a neuron was fixed:
    bounds of later layers are computed again."""
    net, first = problem.network, problem.network.inputs
    known_lower, known_upper = lower, upper
    lower, upper = lower.clone(), upper.clone()
    for position, layer in enumerate(net.layers):
        columns = slice(layer.start - first, layer.start - first + layer.size)
        open_ = (lower[:, columns] < 0) & (upper[:, columns] > 0) & (signs[:, columns] == 0)
        open_ &= (changed < position).unsqueeze(1)
        domains, neurons = open_.nonzero(as_tuple=True)
        if not domains.numel():
            continue
        prefix = replace(net, layers=net.layers[:position], row_weight=layer.weight[:0], row_bias=layer.bias[:0],
                         row_error=layer.error[:0])
        below = DualProblem(prefix, DualLines.of(prefix, lower[:, : columns.start], upper[:, : columns.start]))
        for part in torch.arange(domains.numel(), device=domains.device).split(CHUNK):
            d, k = domains[part], neurons[part]
            low, high = (_rows(below, layer, d, k, signs[:, : columns.start], side) for side in (1.0, -1.0))
            at = columns.start + k
            lower[d, at] = torch.fmax(lower[d, at], low)
            upper[d, at] = torch.fmin(upper[d, at], -high)
    gap = (lower - upper).amax(1) if lower.shape[1] else lower.new_full((lower.shape[0],), -torch.inf)
    crossed = lower > upper
    return Tightened(torch.where(crossed, known_lower, lower), torch.where(crossed, known_upper, upper), gap)


def _rows(below: DualProblem, layer, domains: Tensor, neurons: Tensor, signs: Tensor, side: float) -> Tensor:
    """Rigorous lower bounds of side * z for the listed neurons, each on its own domain."""
    own = DualProblem(below.network, below.lines[domains])
    start = (side * layer.weight[neurons], side * layer.bias[neurons])
    params = own.initial(layer.weight.new_zeros(domains.numel(), 0))
    return own.rigorous(params, signs[domains], start, layer.error[neurons])
