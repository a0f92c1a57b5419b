"""Random networks with every operation that the channel analysis knows, and random ways to make parts of them zero."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Shift(nn.Module):
    """x * scale + shift, per channel or per position; some scales are 0."""

    def __init__(self, shape: tuple[int, ...], whole: bool):
        super().__init__()
        size = shape if whole else (shape[0], *[1] * (len(shape) - 1))
        self.register_buffer("scale", torch.randn(size) * (torch.rand(size) < 0.8))
        self.register_buffer("shift", torch.randn(size))

    def forward(self, x: Tensor) -> Tensor:
        return self.shift + x * self.scale


class Grafted(nn.Module):
    """ReLU where `keep`, a line elsewhere."""

    def __init__(self, shape: tuple[int, ...]):
        super().__init__()
        self.register_buffer("keep", (torch.rand(shape) < 0.6).float())
        self.slope, self.offset = nn.Parameter(torch.rand(shape)), nn.Parameter(torch.randn(shape) * 0.1)

    def forward(self, z: Tensor) -> Tensor:
        gone = 1 - self.keep
        return torch.relu(z * self.keep) + z * (gone * self.slope) + gone * self.offset


class Residual(nn.Module):
    def __init__(self, body: nn.Module, shortcut: nn.Module, minus: bool = False):
        super().__init__()
        self.body, self.shortcut, self.minus = body, shortcut, minus

    def forward(self, x: Tensor) -> Tensor:
        y, skip = self.body(x), self.shortcut(x)
        return skip - y if self.minus else y + skip


class Branches(nn.Module):
    def __init__(self, *branches: nn.Module):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


class View(nn.Module):
    """A flatten as people write it."""

    def forward(self, x: Tensor) -> Tensor:
        return x.view(x.size(0), -1)


def pick(*choices):
    return choices[int(torch.randint(len(choices), ()))]


def conv_block(channels: int, out: int, stride: int = 1) -> nn.Sequential:
    """Convolution, perhaps batch normalisation, perhaps an affine map, ReLU; keeps the image size when stride is 1."""
    layers = [nn.Conv2d(channels, out, 3, stride, 1, bias=pick(True, False))]
    if pick(True, False):
        layers.append(nn.BatchNorm2d(out))
    layers.append(pick(nn.ReLU(), nn.ReLU(), nn.Identity(), Shift((out, 1, 1), False)))
    return nn.Sequential(*layers)


def random_network(seed: int, bounded: bool = False) -> tuple[nn.Module, tuple[int, int, int]]:
    """A small network on (2, 8, 8) images with 3 outputs, in eval mode and float64; `bounded`: without what
    `verify.live` has no bounds for."""
    torch.manual_seed(seed)
    c = 2
    layers: list[nn.Module] = [Shift((2, 8, 8), False)] if pick(True, False) else []
    for _ in range(int(torch.randint(1, 4, ()))):
        out = int(torch.randint(2, 6, ()))
        kind = pick("conv", "residual", "identity residual", "concat", "unpadded")
        if kind == "conv":
            layers.append(conv_block(c, out))
        elif kind == "residual":
            layers.append(Residual(nn.Sequential(conv_block(c, 4), nn.Conv2d(4, out, 3, padding=1)),
                                   nn.Conv2d(c, out, 1), pick(True, False)))
        elif kind == "identity residual":
            out = c
            layers.append(Residual(conv_block(c, c), nn.Identity(), pick(True, False)))
        elif kind == "concat":
            layers.append(Branches(conv_block(c, out), nn.Identity(), conv_block(c, 2)))
            out += c + 2
        else:
            pad = [] if bounded else [nn.ZeroPad2d(1)]
            layers += [*pad, nn.Conv2d(c, out, 3, padding=int(bounded), bias=pick(True, False))]
        layers.append(pick(nn.ReLU(), Grafted((out, 8, 8)), nn.Dropout2d(), Shift((out, 8, 8), True)))
        c = out
    largest = nn.AvgPool2d(2) if bounded else nn.MaxPool2d(2)
    layers.append(pick(nn.AvgPool2d(2), largest, nn.Conv2d(c, c, 2, 2), nn.AvgPool2d(3, 2, 1)))
    layers += [nn.ReLU(), pick(nn.Flatten(), View()), nn.Linear(16 * c, 7)]
    layers += [nn.BatchNorm1d(7)] if pick(True, False) else []
    layers += [pick(nn.ReLU(), Grafted((7,))), nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 3)]
    module = nn.Sequential(*layers)
    for part in module.modules():
        if isinstance(part, (nn.Conv2d, nn.Linear)):
            nn.init.normal_(part.weight, std=3 / part.weight[0].numel() ** 0.5)  # so that outputs vary with the input
        if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.normal_(part.weight)
            nn.init.normal_(part.bias)
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
    return module.double().eval(), (2, 8, 8)


@torch.no_grad()
def zero_at_random(module: nn.Module, kind: str) -> None:
    """In place: whole rows with bias and normalisation (`channels`), rows alone so that a constant remains (`rows`),
    single weights (`weights`), or all rows of one layer (`layer`)."""
    parts = [m for m in module.modules() if isinstance(m, (nn.Conv2d, nn.Linear))][:-1]
    whole = parts[int(torch.randint(len(parts), ()))]
    norms = {}
    for sequence in module.modules():
        if isinstance(sequence, nn.Sequential):
            for one, after in zip(sequence, list(sequence)[1:], strict=False):
                norms[one] = after if isinstance(after, (nn.BatchNorm1d, nn.BatchNorm2d)) else None
    for part in parts:
        rows = torch.rand(part.weight.shape[0]) < 0.35
        if kind == "layer":
            rows[:] = part is whole
        if kind == "weights":
            part.weight[torch.rand(part.weight.shape) < 0.7] = 0
            continue
        part.weight[rows] = 0
        if kind == "channels" or (kind == "layer" and part is whole and torch.rand(()) < 0.5):
            tensors = [part.bias, *(norms[part].parameters() if norms.get(part) is not None else ())]
            for tensor in tensors:
                if tensor is not None:
                    tensor[rows] = 0
