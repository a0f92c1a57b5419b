"""GraSP (Wang et al. 2020): keeps the gradient flow |g|^2 of the network that is left.

Removing w changes g.g by about -2 w (H g), H the Hessian of the loss. What the removal would raise most goes first, so
the score is w (H g). The loss is taken at logits / 200, as there: without it, the softmax of some
images is saturated and H vanishes on them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pruning.criteria.base import Context, Criterion, Scores, per_unit, working_copy
from pruning.layers import parameter

TEMPERATURE = 200.0


def score(model: nn.Module, context: Context) -> Scores:
    """w (H g) over the masked parameters, g and H of the mean loss of all images of the context."""
    copied = working_copy(model, context)
    named = {name: parameter(copied, name) for name in context.mask.all()}
    values = list(named.values())
    gradient = [torch.zeros_like(value) for value in values]
    for part in _gradients(copied, context, values, False):
        gradient = [total + one for total, one in zip(gradient, part, strict=True)]
    product = [torch.zeros_like(value) for value in values]
    for part in _gradients(copied, context, values, True):
        flow = sum((one * fixed).sum() for one, fixed in zip(part, gradient, strict=True))
        rows = torch.autograd.grad(flow, values, materialize_grads=True)
        product = [total + row for total, row in zip(product, rows, strict=True)]
    return per_unit(context.mask, {name: (value * row).detach() for (name, value), row in
                                   zip(named.items(), product, strict=True)})


def _gradients(copied: nn.Module, context: Context, values: list[Tensor], again: bool):
    """Each batch's share of the gradient of the mean loss; differentiable once more with `again`."""
    for x, y in context.batches():
        loss = context.loss(copied(x) / TEMPERATURE, y) * (len(x) / len(context.x))
        yield torch.autograd.grad(loss, values, create_graph=again, materialize_grads=True)


CRITERION = Criterion("grasp", ("weight", "channel"), score)
