"""Taylor pruning (Molchanov et al. 2017, 2019): |w dL/dw|, the first-order change of the loss when w is removed,
averaged over batches. On a single batch it is SNIP's score; over many, changes of different sign do not cancel."""

from __future__ import annotations

from torch import nn

from pruning.criteria.base import Context, Criterion, Scores, working_copy
from pruning.criteria.snip import factor_gradients


def score(model: nn.Module, context: Context) -> Scores:
    """Mean over all batches of the context of the absolute first-order change."""
    copied, total = working_copy(model, context), {}
    for x, y in context.batches():
        for name, value in factor_gradients(copied, context, x, y).items():
            change = value.abs() * (len(x) / len(context.x))
            total[name] = total[name] + change if name in total else change
    return total


CRITERION = Criterion("taylor", ("weight", "channel"), score)
