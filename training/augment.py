"""Random changes of training images that keep their class."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def augmented(x: Tensor, flip: bool, shift: int) -> Tensor:
    """Images (n, c, h, w), each mirrored with probability 1/2 when `flip`, and moved by up to `shift` pixels in both
    directions with 0 from outside (a random crop of the padded image). Randomness: torch's own generator."""
    n, _, h, w = x.shape
    if flip:
        mirrored = torch.rand(n, device=x.device) < 0.5
        x = torch.where(mirrored[:, None, None, None], x.flip(3), x)
    if shift:
        rows, columns = (torch.randint(2 * shift + 1, (n,), device=x.device) for _ in range(2))
        padded = F.pad(x, [shift] * 4)
        rows = rows[:, None] + torch.arange(h, device=x.device)
        columns = columns[:, None] + torch.arange(w, device=x.device)
        batch = torch.arange(n, device=x.device)
        x = padded[batch[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()
    return x
