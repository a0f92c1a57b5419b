"""Regularisers that make ReLUs stable: neurons whose pre-activation keeps its sign over the box.

RS (Xiao et al. 2019): mean of -tanh(1 + l u) over neurons and batch, l and u interval bounds of the pre-activation.
NRS (Li et al. 2022, eq. 5): mean of -tanh(1 + l u / gamma^2), gamma the weight of the batch normalisation in front.

Decisions, where the paper and its code differ or say nothing:
- the bounds are those of the box of the final radius, from the first step on (`Settings.eps`);
- no gradient reaches gamma, neither through the denominator nor through l and u, as the paper says;
- where a Linear or convolution feeds the ReLU directly, gamma is the norm of its channel's weights, and no gradient
  stretches them; where neither does (a residual sum), gamma is 1, which is RS;
- every neuron weighs the same, whatever its layer.
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.step import Step, no_autocast
from verify.bounds.walk import forward
from verify.errors import InvalidInput
from verify.sets import Interval

FLOOR = 1e-12
"""Least gamma^2."""


def regulariser(step: Step) -> Tensor:
    """rs RS + nrs NRS, by the weights of the settings."""
    total = step.x.new_zeros(())
    if step.settings.rs:
        total = total + step.settings.rs * stability(step, normalised=False)
    if step.settings.nrs:
        total = total + step.settings.nrs * stability(step, normalised=True)
    return total


def stability(step: Step, normalised: bool) -> Tensor:
    """RS or NRS of the step's batch: a number in [-1, 1], near -1 when all neurons are stable by far."""
    network = step.network()
    if not network.relus:
        raise InvalidInput("the network has no ReLU that could be made stable: rs and nrs must be 0")
    with no_autocast(step.x.device):
        graph = network.graph(statistics=step.statistics, fold=True, stop_scales=normalised)
        bounds = forward(graph, step.box(step.settings.eps), rounded=False)
        total, count = step.x.new_zeros(()), 0
        for name in network.relus:
            pre = bounds[network.before(name)]
            total = total + _penalty(pre, network.scale(name) if normalised else None).sum()
            count += pre.lower.numel()
        return total / count


def _penalty(pre: Interval, scale: Tensor | None) -> Tensor:
    """-tanh(1 + l u / gamma^2) per neuron; `scale` (c,), of the channels, which follow the batch axis."""
    product = pre.lower * pre.upper
    if scale is not None:
        square = (scale * scale).clamp_min(FLOOR)
        product = product / square.reshape(-1, *[1] * (product.dim() - 3))
    return -torch.tanh(1 + product)
