"""TRADES (Zhang et al. 2019): CE(f(x), y) + beta KL(p(x) || p(x')), with x' in the ball that makes the divergence
large."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.losses.pgd import attack
from training.step import HIGH, LOW, evaluating

SPREAD = 0.001
"""Standard deviation of the start: at x itself the divergence has no gradient."""


def divergence(logits: Tensor, clean: Tensor, reduction: str = "batchmean") -> Tensor:
    """KL(softmax(clean) || softmax(logits)), both (n, k)."""
    return F.kl_div(F.log_softmax(logits, 1), F.log_softmax(clean, 1), reduction=reduction, log_target=True)


def divergent(model: nn.Module, x: Tensor, y: Tensor, eps: float, *, steps: int, size: float) -> Tensor:
    """Points within eps of x where the prediction differs most from that at x."""
    with evaluating(model), torch.no_grad():
        clean = model(x).float()
    begin = (x + min(SPREAD, eps) * torch.randn_like(x)).clamp_(LOW, HIGH)
    return attack(model, x, y, eps, steps=steps, size=size, random=False, begin=begin,
                  objective=lambda logits: divergence(logits, clean, "sum"))
