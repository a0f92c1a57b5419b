"""The architectures of the verification literature and of the pruning and grafting papers, for any image size.

    mlp-LxW      L hidden layers of W neurons
    conv-small, conv-med, conv-big   of DiffAI and ERAN (Mirman et al. 2018; Singh et al. 2019)
    cnn-a, cnn-b the small and the larger CNN of SDP-FO (Dathathri et al. 2020), used by beta-CROWN (Wang et al. 2021)
    cnn-7        five convolutions and two layers of certified training (Gowal et al. 2019), without batch norm;
    cnn-17m      the same with batch norm (Shi et al. 2021); 17.2 million parameters on 3 x 32 x 32 (also `cnn-7-bn`)
    resnet-2b, resnet-4b   residual networks of the VNN-COMP benchmark cifar10_resnet (Bak et al. 2021)
    pruning-7    seven layers with batch norm (Li et al. 2022, "Can pruning improve certified robustness")
    cnn-tiny     two strided convolutions with batch norm and one hidden layer, for studies on a processor

Every network is a chain of named modules, `conv1`, `bn1`, `relu1`, ..., `flatten`, `fc1`, ..., preceded by `normalize`
where statistics are given: inputs are images in [0, 1].
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn

from verify.errors import InvalidInput

Shape = tuple[int, ...]
Layers = list[tuple[str, nn.Module]]
MLP = re.compile(r"mlp-(\d+)x(\d+)")


class Normalize(nn.Module):
    """(x - mean) / std per channel, for x (n, c, h, w)."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32).reshape(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


class ResidualBlock(nn.Module):
    """relu(conv2(relu(conv1(x))) + shortcut(x)), 3 x 3 convolutions; the shortcut is a 1 x 1 convolution where the
    shape changes, else the identity."""

    def __init__(self, channels: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, planes, 3, stride, 1)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1)
        same = stride == 1 and channels == planes
        self.shortcut = nn.Identity() if same else nn.Conv2d(channels, planes, 1, stride)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.conv2(self.relu1(self.conv1(x))) + self.shortcut(x))


@dataclass(frozen=True)
class Chain:
    """Convolutions (channels, kernel, stride, padding), then hidden layers; batch norm after each kind, if wanted."""

    convolutions: tuple[tuple[int, int, int, int], ...]
    hidden: tuple[int, ...]
    conv_norm: bool = False
    hidden_norm: bool = False

    def __call__(self, shape: Shape, classes: int) -> Layers:
        layers: Layers = []
        for k, (planes, kernel, stride, padding) in enumerate(self.convolutions, 1):
            layers.append((f"conv{k}", nn.Conv2d(shape[0], planes, kernel, stride, padding)))
            shape = (planes, *_sizes(shape, kernel, stride, padding))
            layers += [(f"bn{k}", nn.BatchNorm2d(planes))] if self.conv_norm else []
            layers.append((f"relu{k}", nn.ReLU()))
        return layers + _head(shape, classes, self.hidden, len(self.convolutions), self.hidden_norm)


@dataclass(frozen=True)
class ResNet:
    """A strided convolution of `planes` channels, then residual blocks (channels, stride), then 100 hidden neurons."""

    planes: int
    blocks: tuple[tuple[int, int], ...]

    def __call__(self, shape: Shape, classes: int) -> Layers:
        layers: Layers = [("conv1", nn.Conv2d(shape[0], self.planes, 3, 2, 1)), ("relu1", nn.ReLU())]
        shape = (self.planes, *_sizes(shape, 3, 2, 1))
        for k, (planes, stride) in enumerate(self.blocks, 1):
            layers.append((f"block{k}", ResidualBlock(shape[0], planes, stride)))
            shape = (planes, *_sizes(shape, 3, stride, 1))
        return layers + _head(shape, classes, (100,), 1, False)


_CONV_BIG = ((32, 3, 1, 1), (32, 4, 2, 1), (64, 3, 1, 1), (64, 4, 2, 1))
_CONV_7 = ((64, 3, 1, 1), (64, 3, 1, 1), (128, 3, 2, 1), (128, 3, 1, 1), (128, 3, 1, 1))
_PRUNING_7 = ((32, 3, 1, 1), (64, 4, 2, 1), (64, 3, 1, 1), (128, 4, 2, 1), (128, 4, 2, 1))

ARCHITECTURES: MappingProxyType[str, Callable[[Shape, int], Layers]] = MappingProxyType({
    "conv-small": Chain(((16, 4, 2, 0), (32, 4, 2, 0)), (100,)),
    "conv-med": Chain(((16, 4, 2, 1), (32, 4, 2, 1)), (1000,)),
    "conv-big": Chain(_CONV_BIG, (512, 512)),
    "cnn-a": Chain(((16, 4, 2, 1), (32, 4, 2, 1)), (100,)),
    "cnn-b": Chain(((32, 5, 2, 2), (128, 4, 2, 1)), (250,)),
    "cnn-7": Chain(_CONV_7, (512,)),
    "cnn-7-bn": Chain(_CONV_7, (512,), True, True),
    "cnn-17m": Chain(_CONV_7, (512,), True, True),
    "resnet-2b": ResNet(8, ((16, 2), (16, 1))),
    "resnet-4b": ResNet(16, ((32, 2), (32, 1), (32, 2), (32, 1))),
    "pruning-7": Chain(_PRUNING_7, (100,), True),
    "cnn-tiny": Chain(((8, 4, 2, 1), (16, 4, 2, 1)), (64,), True),
})


def architectures() -> tuple[str, ...]:
    """The names that `build` takes."""
    return (*ARCHITECTURES, "mlp-LxW (such as mlp-3x100)")


def build(arch: str, input_shape: Shape, classes: int, mean: Sequence[float] | None = None,
          std: Sequence[float] | None = None, seed: int = 0) -> nn.Sequential:
    """A freshly initialised network (torch's default initialisation, drawn from `seed`; global generators stay as they
    were) for images `input_shape` (c, h, w); `mean`, `std` per channel go into a first layer `normalize`.

    Raises `InvalidInput` for an unknown name, an image that is too small, or statistics of the wrong length.
    """
    shape = tuple(input_shape)
    if classes < 2:
        raise InvalidInput(f"a classifier needs at least two classes, got {classes}")
    maker = _maker(arch)
    if len(shape) != 3 or min(shape) < 1:
        raise InvalidInput(f"{arch} takes images of shape (channels, height, width), got {list(shape)}")
    layers = [] if mean is None else [("normalize", _normalize(mean, std, shape[0]))]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            layers += maker(shape, classes)
        except _TooSmallError as error:
            raise InvalidInput(f"{arch} needs larger images than {shape[1]} x {shape[2]}: {error}") from error
    return nn.Sequential(OrderedDict(layers))


def relu_count(model: nn.Module, input_shape: Shape) -> int:
    """How many ReLU neurons one image passes: entries of the outputs of all `nn.ReLU` modules, in eval mode."""
    counts: list[int] = []
    relus = [part for part in model.modules() if isinstance(part, nn.ReLU)]
    hooks = [part.register_forward_hook(lambda _part, _x, y: counts.append(y[0].numel())) for part in relus]
    flags = {part: part.training for part in model.modules()}
    like = next(model.parameters())
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, *input_shape, device=like.device, dtype=like.dtype))
    finally:
        for hook in hooks:
            hook.remove()
        for part, flag in flags.items():
            part.training = flag
    return sum(counts)


class _TooSmallError(Exception):
    """A map would vanish."""


def _sizes(shape: Shape, kernel: int, stride: int, padding: int) -> Shape:
    sizes = tuple((size + 2 * padding - kernel) // stride + 1 for size in shape[1:])
    if min(sizes) < 1:
        raise _TooSmallError(f"a kernel of {kernel} x {kernel} does not fit into a map of {shape[1]} x {shape[2]}")
    return sizes


def _head(shape: Shape, classes: int, hidden: tuple[int, ...], before: int, norm: bool) -> Layers:
    """Flatten, hidden layers, scores; ReLUs (and batch norms) are numbered on from `before`."""
    layers: Layers = [("flatten", nn.Flatten())]
    width = math.prod(shape)
    for k, size in enumerate(hidden, 1):
        layers.append((f"fc{k}", nn.Linear(width, size)))
        layers += [(f"bn{before + k}", nn.BatchNorm1d(size))] if norm else []
        layers.append((f"relu{before + k}", nn.ReLU()))
        width = size
    return [*layers, (f"fc{len(hidden) + 1}", nn.Linear(width, classes))]


def _maker(arch: str) -> Callable[[Shape, int], Layers]:
    if arch in ARCHITECTURES:
        return ARCHITECTURES[arch]
    match = MLP.fullmatch(arch)
    if match is None or not (1 <= int(match[1]) <= 100 and 1 <= int(match[2]) <= 100_000):
        raise InvalidInput(f"unknown architecture {arch!r}; there are {', '.join(architectures())}")
    return Chain((), (int(match[2]),) * int(match[1]))


def _normalize(mean: Sequence[float], std: Sequence[float] | None, channels: int) -> Normalize:
    std = [1.0] * len(mean) if std is None else std
    if not len(mean) == len(std) == channels:
        raise InvalidInput(f"mean has {len(mean)} and std {len(std)} entries; images of {channels} channels need "
                           f"{channels}")
    if min(std) <= 0:
        raise InvalidInput(f"std must be positive, got {min(std)}")
    return Normalize(mean, std)
