"""Network slimming (Liu et al. 2017): a channel scores |gamma|, the scale of its batch normalisation.

It belongs to training with an L1 penalty on the scales, `shrink`. Their subgradient step leaves scales that hover
around zero; this is the proximal step gamma <- sign(gamma) max(|gamma| - step, 0), which reaches zero.
"""

from __future__ import annotations

import torch
from torch import nn

from pruning.criteria.base import Context, Criterion, Scores
from pruning.layers import parameter
from verify.errors import InvalidInput


def score(model: nn.Module, context: Context) -> Scores:
    """|gamma| (c,). Raises `InvalidInput` for a layer without normalisation."""
    found = {}
    for weight in context.mask.keep:
        scale = context.mask.gate(weight)[0]
        if scale == weight:
            raise InvalidInput(f"criterion 'slimming' needs a batch normalisation behind every layer; {weight!r} has "
                               "none. Use taylor or magnitude there, or exclude the layer")
        found[weight] = parameter(model, scale).detach().abs()
    return found


@torch.no_grad()
def shrink(model: nn.Module, step: float) -> None:
    """One proximal step of the L1 penalty on every scale of a normalisation, in place; `step` is penalty times learning
    rate."""
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) and module.weight is not None:
            module.weight.copy_(nn.functional.softshrink(module.weight, step))


CRITERION = Criterion("slimming", ("channel",), score)
