"""One batch on its way through a recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from training import schedules
from training.settings import Settings
from verify.live import LiveNetwork, Statistics
from verify.sets import Interval

LOW, HIGH = 0.0, 1.0
"""Pixels are between these."""
CERTIFIED = ("ibp", "crown-ibp")
"""Recipes that compute bounds."""


@dataclass
class Step:
    """What a recipe's `loss` sees: the batch x (n, c, h, w) in [0, 1] and y (n,), the model in training mode, and how
    far the training is. `network` gives the model's trace, made once per training when first asked for."""

    model: nn.Module
    x: Tensor
    y: Tensor
    settings: Settings
    progress: float
    network: Callable[[], LiveNetwork]
    logits: Tensor | None = None
    statistics: Statistics = field(default_factory=dict)

    @property
    def eps(self) -> float:
        """The radius to train for now."""
        return schedules.eps(self.settings, self.progress)

    @property
    def kappa(self) -> float:
        return schedules.kappa(self.settings, self.progress)

    @property
    def beta(self) -> float:
        return schedules.beta(self.settings, self.progress)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, k) of a pass that trains: running statistics move; the batch's statistics are kept for the bounds,
        and the logits for the accuracy."""
        if self.settings.rs or self.settings.nrs or self.settings.recipe in CERTIFIED:
            logits, self.statistics = self.network().statistics(x)
        else:
            logits = self.model(x)
        self.logits = logits.float()
        return self.logits

    def box(self, eps: float) -> Interval:
        """The images within eps of the batch, (n, 1, c, h, w), as `LiveNetwork` graphs take them."""
        x = self.x.unsqueeze(1)
        return Interval((x - eps).clamp_(min=LOW), (x + eps).clamp_(max=HIGH))


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode, every layer's own mode restored afterwards: attacks must neither use nor move batch
    statistics."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def no_autocast(device: torch.device):
    """Bounds are computed in the parameters' own precision whatever surrounds them."""
    return torch.autocast(device.type, enabled=False)
