"""One decision: which units fall when the schedule asks for a ratio."""

from __future__ import annotations

import dataclasses

import torch
from torch import nn

from pruning.criteria import Context, criterion
from pruning.layers import Scope
from pruning.mask import Mask, tighten
from pruning.plan import Plan
from pruning.schedule import check_ratios
from verify.errors import InvalidInput


def choose(model: nn.Module, context: Context, plan: Plan) -> Mask:
    """The mask that keeps `context.remaining` of the dense tensors, within `context.mask`. The model stays as it is.

    A criterion that asks for several steps is scored anew in each; the ratio falls by the same factor from step to
    step (Tanaka et al. 2020)."""
    rule = criterion(plan.criterion, context.mask.kind)
    start, target, mask = context.mask.remaining, context.remaining, context.mask
    if target > start:
        raise InvalidInput(f"remaining ratio {target:g} asks for more than the {start:g} that is left")
    for step in range(1, rule.steps + 1):
        ratio = target if step == rule.steps else start * (target / start) ** (step / rule.steps)
        given = dataclasses.replace(context, mask=mask, remaining=ratio)
        scores = {name: value.cpu() for name, value in rule.score(model, given).items()}
        mask = tighten(mask, scores, ratio, per_layer=plan.per_layer or rule.per_layer, may_empty=plan.may_empty)
    return mask


def check(model: nn.Module, plan: Plan) -> Mask:
    """The dense mask of the plan. Raises `InvalidInput` for whatever could not be carried out later: a criterion that
    is unknown or does not fit, ratios, a layer whose channels cannot be switched off, too few units."""
    criterion(plan.criterion, plan.kind)
    check_ratios(plan.remaining)
    mask = Mask.ones(model, Scope(plan.scope, plan.exclude_first, plan.exclude_last), plan.structured)
    level = {name: torch.zeros(unit.shape) for name, unit in mask.units().items()}
    tighten(mask, level, plan.remaining[-1], per_layer=plan.per_layer, may_empty=plan.may_empty)
    return mask
