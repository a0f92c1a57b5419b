"""Small models for the tests: an MLP, a convolutional network, one with functional and shared ReLUs, a residual one."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def mlp(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 10), nn.ReLU(), nn.Linear(10, 3))


def conv(seed: int = 0, batch_norm: bool = True) -> nn.Sequential:
    torch.manual_seed(seed)
    norm = [nn.BatchNorm2d(3)] if batch_norm else []
    model = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), *norm, nn.ReLU(), nn.Conv2d(3, 4, 2, stride=2), nn.ReLU(),
                          nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))
    if batch_norm:
        with torch.no_grad():
            for _ in range(20):
                model.train()(images(16, seed))
        model.eval()
    return model


class Functional(nn.Module):
    """A module ReLU of its own, one module in two places, and three functional spellings."""

    def __init__(self, seed: int = 0):
        super().__init__()
        torch.manual_seed(seed)
        self.layers = nn.ModuleList([nn.Linear(16, 6), *(nn.Linear(6, 6) for _ in range(5)), nn.Linear(6, 3)])
        self.shared, self.own = nn.ReLU(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.own(self.layers[0](x.flatten(1)))
        x = self.shared(self.layers[1](x)) + x
        x = self.shared(self.layers[2](x))
        x = F.relu(self.layers[3](x))
        x = torch.relu(self.layers[4](x))
        return self.layers[6](self.layers[5](x).relu())


def images(count: int, seed: int = 0) -> Tensor:
    return torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(seed))


SHAPE = (1, 4, 4)
