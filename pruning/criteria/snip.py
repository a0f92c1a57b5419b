"""SNIP (Lee et al. 2019): |dL/dm| at m = 1, with w replaced by m w, on one batch of training images.

dL/dm = w dL/dw. For a channel, m is a factor of its pre-activation: dL/dm is the sum of that product over the scale and
shift of its normalisation, or over its weights and bias where there is none. (Over the weights in front of a
normalisation by batch statistics it would be 0: the network does not change when they are scaled.)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pruning.criteria.base import Context, Criterion, Scores, per_unit, working_copy
from pruning.layers import parameter


def score(model: nn.Module, context: Context) -> Scores:
    """Absolute derivative of the loss on the first batch of the context's order."""
    x, y = next(context.batches())
    return {name: value.abs() for name, value in factor_gradients(working_copy(model, context), context, x, y).items()}


def factor_gradients(copied: nn.Module, context: Context, x: Tensor, y: Tensor) -> Scores:
    """dL/dm for every unit of the mask, on one batch; `copied` comes from `working_copy`."""
    named = {name: parameter(copied, name) for name in context.mask.all()}
    loss = context.loss(copied(x), y)
    gradients = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    products = {name: torch.zeros_like(value) if gradient is None else (gradient * value).detach()
                for (name, value), gradient in zip(named.items(), gradients, strict=True)}
    return per_unit(context.mask, products)


CRITERION = Criterion("snip", ("weight", "channel"), score)
