"""Stability (Li et al. 2022): a channel scores minus its mean NRS loss -tanh(1 + l u / gamma^2), so that channels whose
neurons are unstable, and of little weight gamma, fall first.

[l, u]: interval bounds of the pre-activation on boxes around held-out images, in eval mode; gamma: scale of the batch
normalisation in front of the ReLU, in its place the norm of the layer's rows where there is none, and 1 where several
layers are added up. What was pruned before stays pruned, whatever its score (a dead channel is stable).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pruning.criteria.base import Context, Criterion, Scores
from pruning.criteria.neurons import Boxes, average
from verify.bounds.walk import forward
from verify.sets import Interval

TINY = 1e-12
"""Least gamma^2 that is divided by: a channel without any weight is stable, not undefined."""


def score(model: nn.Module, context: Context) -> Scores:
    """(c,) per layer, in (-1, tanh(1)]."""
    return {weight: -loss for weight, loss in average(model, context, "nrs", _losses).items()}


def _losses(boxes: Boxes, box: Interval, labels: Tensor) -> Mapping[str, Tensor]:
    bounds, found = forward(boxes.graph, box, rounded=False), {}
    for site in boxes.sites:
        pre = bounds[site.before]
        product, scale = pre.lower * pre.upper, boxes.live.scale(site.relu)
        if scale is not None:
            product = product / scale.square().clamp(min=TINY).reshape(-1, *[1] * (product.dim() - 3))
        found[site.weight] = -torch.tanh(1 + product)
    return found


CRITERION = Criterion("nrs", ("channel",), score)
