"""Small exported networks for the tests of evaluation and comparison."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from tests.soundness.nets import dense

PIXELS, CLASSES = 9, 4


def network(seed: int = 0, hidden: tuple[int, ...] = (10, 8), scale: float = 1.0) -> bytes:
    """An ONNX MLP from 9 pixels to 4 scores; `scale` multiplies the first layer."""
    generator = torch.Generator().manual_seed(seed)
    sizes = (PIXELS, *hidden, CLASSES)
    layers = []
    for k, (i, o) in enumerate(pairwise(sizes)):
        weight = torch.randn(o, i, generator=generator) / i**0.5 * (scale if k == 0 else 1.0)
        layers.append((weight.numpy(), (0.1 * torch.randn(o, generator=generator)).numpy()))
    return dense(layers)


def images(count: int = 24, seed: int = 5) -> Tensor:
    """(count, 1, 3, 3) in [0, 1]."""
    return torch.rand(count, 1, 3, 3, generator=torch.Generator().manual_seed(seed))
