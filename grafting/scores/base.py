"""What scores are computed from, and what they return.

A score says how much a neuron should be grafted: the highest are taken first. It returns one ranking, or several that
take turns: `select` fills equal portions of the quota from each in order (the criterion of Chen et al. has four).
Scores are finite, (*site shape) float64 on the CPU; how equal ones are ordered is `select`'s business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from grafting.graft import LeastSquares
from grafting.sites import Site, activation_gradients, observe, relu_sites
from grafting.stability import Stability, stability
from verify.errors import InvalidInput, ShapeMismatch

Ranking = dict[str, Tensor]
"""Site name -> scores of its neurons."""


@dataclass(frozen=True, eq=False)
class Context:
    """A model with calibration images x (n, *input_shape) in [0, 1] and labels y (n,).

    `eps` and `bounds` (`alpha-crown` or `crown`): how instability is measured, on the first `bounded` images, because
    bounds cost more than activations; `clip`: the images' range; `layerwise`: normalise scores within their site;
    `seed`: of what is random.
    """

    model: nn.Module
    input_shape: tuple[int, ...]
    x: Tensor
    y: Tensor
    eps: float
    bounds: str = "alpha-crown"
    bounded: int = 100
    clip: tuple[float, float] | None = (0.0, 1.0)
    layerwise: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if tuple(self.x.shape[1:]) != tuple(self.input_shape) or len(self.x) != len(self.y) or not len(self.x):
            raise ShapeMismatch(f"calibration needs images (n, {', '.join(map(str, self.input_shape))}) with n >= 1 "
                                f"labels, got {list(self.x.shape)} and {len(self.y)} labels")
        if not self.eps >= 0:
            raise InvalidInput(f"eps must not be negative, got {self.eps}")

    @cached_property
    def sites(self) -> dict[str, Site]:
        return relu_sites(self.model, self.input_shape)

    @cached_property
    def stability(self) -> Stability:
        """Measured once, when a score first asks."""
        count = min(self.bounded, len(self.x))
        return stability(self.model, self.input_shape, self.x[:count], self.y[:count], self.eps, self.bounds, self.clip)

    def mean(self, of: Callable[[Tensor], Tensor]) -> Ranking:
        """Mean over the images of a function of the pre-activations z (b, *shape)."""
        sums = {name: torch.zeros(site.shape, dtype=torch.float64) for name, site in self.sites.items()}
        observe(self.model, self.sites, self.x, lambda name, z: sums[name].add_(of(z).double().sum(0).cpu()))
        return {name: total / len(self.x) for name, total in sums.items()}

    def mean_gradient(self) -> Ranking:
        """Mean over the images of |d cross-entropy / d relu(z)|, in eval mode."""

        def loss(logits: Tensor, start: int) -> Tensor:
            return F.cross_entropy(logits, self.y[start : start + len(logits)].to(logits.device), reduction="sum")

        return activation_gradients(self.model, self.sites, self.x, loss)

    def residual(self) -> Ranking:
        """Mean squared distance of ReLU(z) from its best line over the images."""
        sums = {name: LeastSquares(site.shape) for name, site in self.sites.items()}
        observe(self.model, self.sites, self.x, lambda name, z: sums[name].add(z))
        return {name: found.residual().cpu() for name, found in sums.items()}


Score = Callable[[Context], tuple[Ranking, ...]]
