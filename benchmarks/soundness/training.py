"""Small networks with a planted counterexample that gradient attacks do not find, in the way of SoundnessBench.

One neuron is set to fire only close to one corner of the box; everywhere else its gradient is 0. The network is then
trained on two objectives (Zhou et al. 2024, arXiv 2412.03154): its margin y_0 - y_1 is below -`planted` at the planted
point, and above `safe` at everything that projected gradient descent finds in the box. What is left is a counterexample
in a spike that no gradient leads to. The verifier must not call the box safe.
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
    """One training run: a second or two on a processor core. The planted neuron fires where the distances of all
    inputs to the planted point add up to less than `spike` radii."""

    inputs: int = 24
    hidden: tuple[int, ...] = (48, 32)
    radius: float = 0.5
    steps: int = 250
    restarts: int = 24
    attack_steps: int = 8
    planted: float = 0.05
    safe: float = 0.2
    spike: float = 0.6
    rate: float = 3e-3
    convolution: bool = False


@dataclass(frozen=True, eq=False)
class Hidden:
    """A trained network as ONNX, its box and its planted point (i,), float32."""

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
    """Points (r, i) of low margin in the box: signed gradient steps from random points and corners."""
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


def _plant(net: nn.Sequential, point: Tensor, side: Tensor, settings: Settings) -> None:
    """Neuron 0 of every dense layer becomes relu(spike - sum_i side_i (point_i - x_i)), and y_1 gets it."""
    linear = [m for m in net if isinstance(m, nn.Linear)]
    reach = settings.spike * settings.radius
    with torch.no_grad():
        shift = 0.0
        if settings.convolution:
            # Channel 0 hands the inputs on: x + shift is positive in the whole box.
            shift = float(point.abs().max()) + 3 * settings.radius
            net[1].weight[0] = 0.0
            net[1].weight[0, 0, 1, 1] = 1.0
            net[1].bias[0] = shift
        linear[0].weight[0] = 0.0
        linear[0].weight[0, : settings.inputs] = side
        linear[0].bias[0] = reach - float(side @ (point + shift))
        for layer in linear[1:-1]:
            layer.weight[0] = 0.0
            layer.weight[0, 0] = 1.0
            layer.bias[0] = 0.0
        linear[-1].weight[:, 0] = torch.tensor([0.0, 2.0 / reach])


def train(settings: Settings, seed: int) -> Hidden:
    """The network of a seed. Whether the planted point is a counterexample is for the caller to check."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = _network(settings)
    center = torch.randn(settings.inputs, generator=generator)
    lower, upper = center - settings.radius, center + settings.radius
    side = torch.rand(settings.inputs, generator=generator).round() * 2 - 1
    near = 1 - 0.03 * torch.rand(settings.inputs, generator=generator)
    point = (center + settings.radius * side * near).maximum(lower).minimum(upper)
    _plant(net, point, side, settings)
    optimiser = torch.optim.Adam(net.parameters(), settings.rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.rate, settings.steps)
    found: list[Tensor] = []
    for _ in range(settings.steps):
        # Points that fooled an earlier network stay in the training set for a while.
        found = [*found[-7:], attack(net, lower, upper, settings, generator)]
        hole = (margin(net, point) + 2 * settings.planted).clamp(min=0)
        rest = (2 * settings.safe - margin(net, torch.cat(found))).clamp(min=0)
        loss = hole + rest.max() + rest.mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return Hidden(_onnx(net, settings), *(t.numpy() for t in (lower, upper, point)))


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
