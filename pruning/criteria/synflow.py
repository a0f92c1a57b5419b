"""SynFlow (Tanaka et al. 2020): w dR/dw with R the sum of the outputs of the absolute network at an input of ones.

R is the sum over all paths from an input to an output of the product of the absolute weights on them, and the score of
w is the share of the paths through w; hence in every layer that all paths pass the scores add up to R (the conservation
law of that paper, which its iterations need: one decision is taken in 100 steps, else whole layers vanish).

What is on a path, here: weights and the factor |gamma| / deviation of normalisations in eval mode. What is not: biases
and the shifts of normalisations, which are zero in the copy that is scored. Published code walks the state dict and
takes absolute values of running statistics too: nothing changes for variances, something arbitrary for means. No data
is read. The copy is in float64, for R overflows float32 in deep networks. An input normalisation inside the network
stays: the input is the image of ones.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from pruning.criteria.base import Context, Criterion, Scores, per_unit
from pruning.layers import parameter


def score(model: nn.Module, context: Context) -> Scores:
    """w dR/dw per weight, float64; for channels the sum of the paths through them, which is the same for the scale of
    the normalisation and for the sum over the weights."""
    copied = absolute(model, context)
    named = {name: parameter(copied, name) for name in context.mask.all()}
    ones = torch.ones(1, *context.x.shape[1:], dtype=torch.float64, device=next(copied.parameters()).device)
    gradients = torch.autograd.grad(copied(ones).sum(), list(named.values()), materialize_grads=True)
    return per_unit(context.mask, {name: (value * gradient).detach() for (name, value), gradient in
                                   zip(named.items(), gradients, strict=True)})


@torch.no_grad()
def absolute(model: nn.Module, context: Context) -> nn.Module:
    """The masked network in eval mode with absolute weights and without biases and shifts, float64."""
    copied = copy.deepcopy(model).double().eval().requires_grad_(True)
    context.mask.apply(copied)
    for module in copied.modules():
        for name, value in module.named_parameters(recurse=False):
            value.copy_(torch.zeros_like(value) if name == "bias" else value.abs())
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) and module.running_mean is not None:
            module.running_mean.zero_()
    return copied


CRITERION = Criterion("synflow", ("weight", "channel"), score, steps=100)
