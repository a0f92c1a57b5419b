"""Gradient attacks on classifiers, batched: what they find is an upper bound on robust accuracy, never a lower one.

    pgd        projected gradient ascent on the cross-entropy with a fixed step (Madry et al. 2018)
    apgd-ce    Auto-PGD (Croce and Hein 2020, algorithm 1): momentum, and steps halved at checkpoints
    apgd-dlr   Auto-PGD on the difference-of-logits ratio, which does not change when the logits are scaled

All work on any function from images (n, c, h, w) to scores (n, k). A point counts as adversarial when some other class
scores at least as high as the label: ties are unsafe, as in `verify.robustness`. Points keep to the ball in float32:
its limits are rounded inward.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from verify.errors import InvalidInput

Network = Callable[[Tensor], Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]
KINDS = ("pgd", "apgd-ce", "apgd-dlr")
MOMENTUM, ENOUGH = 0.75, 0.75  # alpha and rho of algorithm 1


@dataclass(frozen=True)
class Attack:
    """One attack: `steps` gradient steps from each of `restarts` random points; `step` is that of `pgd` in units of
    eps (None: 2.5 / steps, which reaches every point of the ball)."""

    kind: str = "pgd"
    steps: int = 40
    restarts: int = 1
    step: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InvalidInput(f"unknown attack {self.kind!r}; there are {', '.join(KINDS)}")
        if self.steps < 1 or self.restarts < 1 or (self.step is not None and not self.step > 0):
            raise InvalidInput(f"an attack needs positive steps, restarts and step, got {self}")

    def __str__(self) -> str:
        return f"{self.kind}-{self.steps}x{self.restarts}" + ("" if self.step is None else f" step {self.step:g}")


STANDARD = (Attack("pgd", 40, 2), Attack("apgd-ce", 50), Attack("apgd-dlr", 50))
"""What an evaluation runs: each on the images that withstood the ones before."""


def margins(scores: Tensor, labels: Tensor) -> Tensor:
    """Score of the label minus the best other one, (n,): not positive where the answer is wrong or tied."""
    own = scores.gather(1, labels.unsqueeze(1)).squeeze(1)
    return own - scores.scatter(1, labels.unsqueeze(1), -math.inf).amax(1)


def dlr(scores: Tensor, labels: Tensor) -> Tensor:
    """-(z_y - max_{i != y} z_i) / (z_1st - z_3rd) per image, to be maximised (Croce and Hein 2020, eq. 6); with fewer
    than three classes there is no third score, and the difference stays as it is."""
    difference = -margins(scores, labels)
    if scores.shape[1] < 3:
        return difference
    best = scores.topk(3, 1).values
    return difference / (best[:, 0] - best[:, 2] + 1e-12)


def cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    """Per image, (n,)."""
    return F.cross_entropy(scores, labels, reduction="none")


def inner_ball(x: Tensor, eps: float, clip: tuple[float, float] = (0.0, 1.0)) -> tuple[Tensor, Tensor]:
    """Limits of |z - x| <= eps within `clip`, rounded inward to the dtype of x."""
    exact = x.double()
    low, high = (exact - eps).clamp(min=clip[0]), (exact + eps).clamp(max=clip[1])
    lower, upper = low.to(x.dtype), high.to(x.dtype)
    lower = torch.where(lower.double() < low, torch.nextafter(lower, torch.full_like(lower, math.inf)), lower)
    upper = torch.where(upper.double() > high, torch.nextafter(upper, torch.full_like(upper, -math.inf)), upper)
    # The image itself always belongs to the ball, however small that is.
    return torch.minimum(lower, x), torch.maximum(upper, x)


def attack(network: Network, x: Tensor, labels: Tensor, eps: float, how: Attack, generator: torch.Generator,
           clip: tuple[float, float] = (0.0, 1.0)) -> Tensor:
    """The worst points found, like x (n, c, h, w): adversarial where the attack succeeded.

    `generator` lives on the CPU, so that equal seeds give equal starts on every device. Modules belong in eval mode.
    """
    ball = inner_ball(x, eps, clip)
    run = _pgd if how.kind == "pgd" else _apgd
    loss = dlr if how.kind == "apgd-dlr" else cross_entropy
    worst, least = x.clone(), margins(network(x).detach(), labels)
    for _ in range(how.restarts):
        left = (least > 0).nonzero().squeeze(1)
        if not len(left):
            break
        inside = (ball[0][left], ball[1][left])
        noise = torch.rand(x[left].shape, generator=generator, dtype=torch.float32).to(x)
        start = _project(inside[0] + noise * (inside[1] - inside[0]), inside)
        points, found = run(network, start, labels[left], eps, inside, loss, how)
        better = found < least[left]
        worst[left[better]], least[left[better]] = points[better], found[better]
    return worst


def attacked(network: Network, x: Tensor, labels: Tensor, eps: float, attacks: tuple[Attack, ...] = STANDARD, *,
             clip: tuple[float, float] = (0.0, 1.0), batch: int = 256, seed: int = 0) -> Tensor:
    """The worst points of all attacks in turn, each on what is still classified correctly: (n, c, h, w)."""
    parts = []
    for index in _batches(len(x), batch):
        generator = torch.Generator().manual_seed(seed)
        points, y = x[index].clone(), labels[index]
        for how in attacks:
            left = (margins(network(points).detach(), y) > 0).nonzero().squeeze(1)
            if len(left):
                points[left] = attack(network, x[index][left], y[left], eps, how, generator, clip)
        parts.append(points)
    return torch.cat(parts) if parts else x.clone()


def _batches(count: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, count, size))


def _project(x: Tensor, ball: tuple[Tensor, Tensor]) -> Tensor:
    return torch.minimum(torch.maximum(x, ball[0]), ball[1])


def _gradient(network: Network, x: Tensor, labels: Tensor, loss: Loss) -> tuple[Tensor, Tensor, Tensor]:
    """Loss (n,), margin (n,) and the gradient of the loss at x."""
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        scores = network(x)
        value = loss(scores, labels)
        gradient = torch.autograd.grad(value.sum(), x)[0] if scores.requires_grad else torch.zeros_like(x)
    return value.detach(), margins(scores.detach(), labels), gradient


def _per_image(mask: Tensor, like: Tensor) -> Tensor:
    return mask.reshape(-1, *([1] * (like.dim() - 1)))


class _Least:
    """The point of least margin seen so far, image by image."""

    def __init__(self, x: Tensor) -> None:
        self.points, self.margin = x.clone(), torch.full((len(x),), math.inf, device=x.device, dtype=x.dtype)

    def see(self, x: Tensor, margin: Tensor) -> None:
        better = margin < self.margin
        self.points = torch.where(_per_image(better, x), x, self.points)
        self.margin = torch.where(better, margin, self.margin)

    @property
    def done(self) -> bool:
        return bool((self.margin <= 0).all())


def _pgd(network: Network, x: Tensor, labels: Tensor, eps: float, ball: tuple[Tensor, Tensor], loss: Loss, how: Attack
         ) -> tuple[Tensor, Tensor]:
    step = eps * (2.5 / how.steps if how.step is None else how.step)
    least = _Least(x)
    for _ in range(how.steps):
        _, margin, gradient = _gradient(network, x, labels, loss)
        least.see(x, margin)
        if least.done:
            return least.points, least.margin
        x = _project(x + step * gradient.sign(), ball)
    least.see(x, margins(network(x).detach(), labels))
    return least.points, least.margin


def checkpoints(steps: int) -> list[int]:
    """w_j = ceil(p_j steps) with p_0 = 0, p_1 = 0.22, p_{j+1} = p_j + max(p_j - p_{j-1} - 0.03, 0.06)."""
    shares = [0, 22]  # in hundredths: 0.57 as a sum of floats would be above 0.57
    while shares[-1] < 100:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 3, 6))
    return sorted({-(-share * steps // 100) for share in shares if share <= 100})


def _apgd(network: Network, x: Tensor, labels: Tensor, eps: float, ball: tuple[Tensor, Tensor], loss: Loss, how: Attack
          ) -> tuple[Tensor, Tensor]:
    """Algorithm 1; all quantities per image."""
    marks = set(checkpoints(how.steps))
    step = torch.full((len(x),), 2 * eps, device=x.device, dtype=x.dtype)
    value, margin, gradient = _gradient(network, x, labels, loss)
    least = _Least(x)
    least.see(x, margin)
    best, best_x, best_gradient = value.clone(), x.clone(), gradient.clone()
    previous, rises, since = x, torch.zeros_like(step), 0
    best_then, step_then = best.clone(), torch.full_like(step, math.inf)
    for k in range(1, how.steps + 1):
        target = _project(x + _per_image(step, x) * gradient.sign(), ball)
        momentum = MOMENTUM if k > 1 else 1.0
        moved = _project(x + momentum * (target - x) + (1 - momentum) * (x - previous), ball)
        previous, x = x, moved
        before = value
        value, margin, gradient = _gradient(network, x, labels, loss)
        least.see(x, margin)
        if least.done:
            break
        rises, since = rises + (value > before), since + 1
        better = value > best
        best = torch.where(better, value, best)
        best_x = torch.where(_per_image(better, x), x, best_x)
        best_gradient = torch.where(_per_image(better, x), gradient, best_gradient)
        if k in marks:
            stuck = (rises < ENOUGH * since) | ((step == step_then) & (best == best_then))
            step_then, best_then = step.clone(), best.clone()
            step = torch.where(stuck, step / 2, step)
            x = torch.where(_per_image(stuck, x), best_x, x)
            gradient = torch.where(_per_image(stuck, x), best_gradient, gradient)
            value = torch.where(stuck, best, value)
            rises, since = torch.zeros_like(rises), 0
    return least.points, least.margin
