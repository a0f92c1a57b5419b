"""|w|: the selection of iterative magnitude pruning (Frankle and Carbin 2019), there with rewinding to the initial
weights. A channel scores the mean of its weights that are left."""

from __future__ import annotations

from torch import nn

from pruning.criteria.base import Context, Criterion, Scores
from pruning.layers import parameter


def score(model: nn.Module, context: Context) -> Scores:
    """Absolute weights; scores of channels are (c,)."""
    values = {name: parameter(model, name).detach().abs() for name in context.mask.keep}
    return values if context.mask.kind == "weight" else {name: w.flatten(1).mean(1) for name, w in values.items()}


CRITERION = Criterion("magnitude", ("weight", "channel"), score)
