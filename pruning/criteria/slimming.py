"""Network slimming (Liu et al. 2017): a channel scores |gamma|, the scale of its batch normalisation.

It belongs to training with an L1 penalty on the scales: the setting `l1_scales` of `training.settings`.
"""

from __future__ import annotations

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


CRITERION = Criterion("slimming", ("channel",), score)
