"""Small networks with planted counterexamples that gradient attacks do not find, as in SoundnessBench.

For boxes around random centres, each with a planted point close to a corner, a network is trained on two objectives
(Zhou et al. 2024, arXiv 2412.03154): its margin y_0 - y_1 is below -`planted` at the planted points, and above `safe`
at everything that projected gradient descent finds in the boxes. What is left is a counterexample in a narrow spike
that gradients lead away from. The verifier must not call such a box safe.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from tests.soundness.nets import dense
from tests.soundness.random_networks import Builder


@dataclass(frozen=True)
class Settings:
    """One training run: seconds on a processor core."""

    inputs: int = 16
    hidden: tuple[int, ...] = (48, 32)
    boxes: int = 3
    radius: float = 1.0
    steps: int = 1200
    restarts: int = 12
    attack_steps: int = 6
    planted: float = 0.05
    safe: float = 0.2
    rate: float = 4e-3
    convolution: bool = False


@dataclass(frozen=True, eq=False)
class Hidden:
    """A trained network as ONNX, its boxes (b, i) and planted points (b, i), float32."""

    onnx: bytes
    lower: np.ndarray
    upper: np.ndarray
    planted: np.ndarray


def margin(net: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """y_0 - y_1 at points (..., i)."""
    y = net(x.reshape(-1, x.shape[-1]))
    return (y[:, 0] - y[:, 1]).reshape(x.shape[:-1])


def attack(net: Callable[[Tensor], Tensor], lower: Tensor, upper: Tensor, settings: Settings,
           generator: torch.Generator) -> Tensor:
    """Points (r, b, i) of low margin in the boxes: signed gradient steps from random points and corners."""
    share = torch.rand(settings.restarts, *lower.shape, generator=generator)
    share[::2] = share[::2].round()
    x = lower + share * (upper - lower)
    for step in range(settings.attack_steps):
        x = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(margin(net, x).sum(), x)
        x = (x - settings.radius * 0.6 * 0.6**step * gradient.sign()).maximum(lower).minimum(upper)
    return x.detach()


def _network(settings: Settings) -> nn.Sequential:
    layers: list[nn.Module] = []
    width = settings.inputs
    if settings.convolution:
        side = round(settings.inputs**0.5)
        layers += [nn.Unflatten(1, (1, side, side)), nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.Flatten()]
        width = 6 * side * side
    for size in settings.hidden:
        layers += [nn.Linear(width, size), nn.ReLU()]
        width = size
    return nn.Sequential(*layers, nn.Linear(width, 2))


def train(settings: Settings, seed: int) -> Hidden:
    """The network of a seed. Whether the planted points are counterexamples is for the caller to check."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = _network(settings)
    centers = 2 * torch.randn(settings.boxes, settings.inputs, generator=generator)
    lower, upper = centers - settings.radius, centers + settings.radius
    corner = torch.rand(centers.shape, generator=generator).round() * 2 - 1
    near = 0.97 + 0.03 * torch.rand(centers.shape, generator=generator)
    planted = (centers + settings.radius * corner * near).maximum(lower).minimum(upper)
    optimiser = torch.optim.Adam(net.parameters(), settings.rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.rate, settings.steps)
    found: list[Tensor] = []
    for _ in range(settings.steps):
        # Points that fooled an earlier network stay in the training set for a while.
        found = [*found[-7:], attack(net, lower, upper, settings, generator)]
        hole = (margin(net, planted) + 2 * settings.planted).clamp(min=0).sum()
        rest = (2 * settings.safe - margin(net, torch.cat(found))).clamp(min=0)
        loss = 3 * hole + rest.amax(0).sum() + rest.mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return Hidden(_onnx(net, settings), *(t.numpy() for t in (lower, upper, planted)))


def _arrays(layer: nn.Linear | nn.Conv2d) -> tuple[np.ndarray, np.ndarray]:
    return layer.weight.detach().numpy(), layer.bias.detach().numpy()


def _onnx(net: nn.Sequential, settings: Settings) -> bytes:
    linear: Sequence[tuple[np.ndarray, np.ndarray]] = [_arrays(m) for m in net if isinstance(m, nn.Linear)]
    if not settings.convolution:
        return dense(linear)
    side = round(settings.inputs**0.5)
    b = Builder(np.random.default_rng(0), (1, settings.inputs))
    weight, bias = _arrays(net[1])
    x = b.add("Reshape", "x", b.constant(np.array([1, 1, side, side], np.int64)))
    x = b.relu(b.add("Conv", x, b.constant(weight), b.constant(bias), kernel_shape=[3, 3], pads=[1] * 4))
    x = b.add("Flatten", x)
    for k, (w, c) in enumerate(linear):
        x = b.add("Gemm", x if k == 0 else b.relu(x), b.constant(w), b.constant(c), transB=1)
    return b.model(x, 2)
