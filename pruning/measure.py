"""The cheap look at a network after every round: clean, attacked and CROWN-verified share of validation images.

Decisions of the schedule rest on these numbers, claims do not: they are about the network in memory, without charges
for rounding. Reported numbers come from the exported file on images that no decision has seen.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.attacks import Attack, attacked, margins
from training.certify import crown_bounded
from verify.errors import InvalidInput
from verify.live import LiveNetwork

ATTACKS = (Attack("pgd", 40, 1),)
BATCH = 512


@dataclass(frozen=True)
class Check:
    """Shares in [0, 1]: `clean` of `images` validation images; `pgd` (not broken by PGD with 40 steps), `verified` (by
    CROWN) and `unstable` (of all ReLU neurons, on average) of the first `checked` of them in a fixed random order."""

    images: int
    clean: float
    checked: int
    pgd: float
    verified: float
    unstable: float


def pick(count: int, wanted: int, seed: int) -> Tensor:
    """At most `wanted` of `count` positions, in a random order that the seed fixes."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:wanted]


@torch.no_grad()
def correct(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Which images an eval-mode model classifies correctly, without a tie: (n,) bool on the CPU."""
    device = next(model.parameters()).device
    parts = [margins(model(part.to(device)), labels.to(device)) > 0
             for part, labels in zip(x.split(BATCH), y.split(BATCH), strict=True)]
    return torch.cat(parts).cpu() if parts else torch.zeros(0, dtype=torch.bool)


def checked(model: nn.Module, x: Tensor, y: Tensor, eps: float, count: int, seed: int = 0, bounds: str = "crown"
            ) -> Check:
    """Measures a model on validation images x (n, c, h, w), y (n,), all for `clean` and `count` of them for the rest.
    `bounds`: CROWN's bounds of hidden layers, `crown` or `ibp`.

    The model stays as it is. Raises `InvalidInput` without images."""
    if not len(x):
        raise InvalidInput("no validation images to decide on; give the data a validation part")
    still = copy.deepcopy(model).eval().requires_grad_(False)
    device = next(still.parameters()).device
    chosen = pick(len(x), count, seed)
    part, labels = x[chosen].to(device), y[chosen].to(device)
    worst = attacked(still, part, labels, eps, ATTACKS, seed=seed)
    graph = LiveNetwork(still, tuple(x.shape[1:])).graph(detach=True, fold=True)
    bounded = crown_bounded(graph, part, labels, eps, rigorous=False, intermediate=bounds)
    neurons = max(1, sum(bounded.neurons.values()))
    unstable = sum((counts.double().sum() for counts in bounded.unstable.values()), torch.zeros(())) / neurons
    return Check(len(x), float(correct(still, x, y).double().mean()), len(chosen),
                 float(correct(still, worst, labels).double().mean()), float(bounded.verified.double().mean()),
                 float(unstable) / len(chosen))
