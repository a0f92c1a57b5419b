"""A small task that networks learn in seconds: four classes of noisy 4 x 4 patterns."""

from __future__ import annotations

from functools import cache

import torch
from torch import nn

from training.data import Data, from_arrays


@cache
def patterns(per_class: int = 40) -> Data:
    """Images (n, 1, 4, 4) in which one quadrant is bright."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(4).repeat(per_class)
    images = 0.3 * torch.rand(len(labels), 1, 4, 4, generator=generator)
    for k in range(4):
        row, column = 2 * (k // 2), 2 * (k % 2)
        images[labels == k, :, row : row + 2, column : column + 2] += 0.5
    return from_arrays(images.numpy(), labels.numpy(), name="patterns", validation=0.2)


def mlp(seed: int = 0, width: int = 16) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(16, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
                             nn.Linear(width, 4))


def conv(seed: int = 0) -> nn.Sequential:
    """With batch normalisation and dropout: everything that a resumed run could get wrong."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.1), nn.Flatten(),
                             nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 4))
