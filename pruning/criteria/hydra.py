"""HYDRA (Sehwag et al. 2020): scores that are learned while the weights are frozen.

Each layer computes with w times the indicator of its k largest |s|; gradients pass the indicator as if it were the
identity (straight through). s starts proportional to w, sqrt(6 / fan-in) w / max |w|; after a few epochs of the robust
objective |s| ranks the weights of a layer, and only those of one layer. How it is trained is the caller's
(`Context.learn`); without, Adam on the context's loss with the rate dropped tenfold at one half and three quarters.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from pruning.criteria.base import Context, Criterion, Scores


class _Indicator(torch.autograd.Function):
    """1 for the `count` largest entries, 0 elsewhere; the derivative is taken to be 1."""

    @staticmethod
    def forward(ctx, values: Tensor, count: int) -> Tensor:
        kept = torch.zeros_like(values).flatten()
        kept[values.flatten().argsort(descending=True, stable=True)[:count]] = 1
        return kept.reshape(values.shape)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


class _Selected(nn.Module):
    """w -> w times the indicator of its best scores among those that the mask still keeps."""

    def __init__(self, weight: Tensor, keep: Tensor, remaining: float):
        super().__init__()
        self.count = min(max(1, round(remaining * keep.numel())), int(keep.sum()))
        scale = math.sqrt(6 / weight[0].numel()) / weight.abs().max().clamp(min=torch.finfo(weight.dtype).tiny)
        self.scores = nn.Parameter((weight * scale).detach().clone())
        self.register_buffer("keep", keep.clone())

    def forward(self, weight: Tensor) -> Tensor:
        return weight * _Indicator.apply(self.scores.abs().masked_fill(~self.keep, -1), self.count)


def score(model: nn.Module, context: Context) -> Scores:
    """Learned |s|, of the shapes of the weights; to be compared within a layer only."""
    copied = copy.deepcopy(model).requires_grad_(False)
    context.mask.apply(copied)
    selected: dict[str, _Selected] = {}
    for name, keep in context.mask.keep.items():
        path, _, attribute = name.rpartition(".")
        module = copied.get_submodule(path)
        selected[name] = _Selected(getattr(module, attribute), keep.to(getattr(module, attribute).device),
                                   context.remaining)
        parametrize.register_parametrization(module, attribute, selected[name])
    (context.learn or _learn)(copied, context)
    return {name: module.scores.detach().abs() for name, module in selected.items()}


def _learn(copied: nn.Module, context: Context) -> None:
    """Adam on all parameters that are not frozen."""
    copied.train()
    optimiser = torch.optim.Adam([value for value in copied.parameters() if value.requires_grad], context.lr)
    drops = torch.optim.lr_scheduler.MultiStepLR(optimiser, [context.epochs // 2, 3 * context.epochs // 4])
    for _ in range(context.epochs):
        for x, y in context.batches():
            optimiser.zero_grad()
            context.loss(copied(x), y).backward()
            optimiser.step()
        drops.step()


CRITERION = Criterion("hydra", ("weight",), score, per_layer=True)
