"""The grafted activation of Chen et al., ICML 2022: f(z) = slope z + intercept at grafted neurons, ReLU(z) elsewhere.

Written as relu(z keep) + (z s + t) with keep = 1 - m, s = m slope, t = m intercept and the mask m of 0 and 1, which is
the same number for number (relu(z keep) = keep relu(z)) and only uses operators that every exporter and verifier knows.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from verify.errors import InvalidInput, ShapeMismatch


class GraftedReLU(nn.Module):
    """`mask` (*shape) bool, fixed; `slope` and `intercept` (*shape), trainable unless `frozen`. Values outside of the
    mask have no influence and get no gradient. z: (n, *shape)."""

    def __init__(self, mask: Tensor, slope: Tensor, intercept: Tensor, frozen: bool = False):
        super().__init__()
        if not slope.shape == intercept.shape == mask.shape:
            raise ShapeMismatch(f"mask, slope and intercept have shapes {list(mask.shape)}, {list(slope.shape)} and "
                                f"{list(intercept.shape)}; they must be equal")
        if mask.dtype != torch.bool:
            raise InvalidInput(f"a mask holds booleans, got {mask.dtype}")
        self.register_buffer("mask", mask.to(slope.device, slope.dtype))
        self.slope = nn.Parameter(slope.detach().clone() * self.mask, requires_grad=not frozen)
        self.intercept = nn.Parameter(intercept.detach().clone() * self.mask, requires_grad=not frozen)
        self.relu = nn.ReLU()

    def forward(self, z: Tensor) -> Tensor:
        line = z * (self.slope * self.mask) + self.intercept * self.mask
        return self.relu(z * (1 - self.mask)) + line

    @property
    def selected(self) -> Tensor:
        """The mask as booleans."""
        return self.mask > 0.5

    def extra_repr(self) -> str:
        return f"{int(self.mask.sum())} of {self.mask.numel()} grafted"
