"""`graft(model, ...)`: the model with chosen ReLU neurons replaced by lines (Chen et al., ICML 2022).

Slopes and intercepts start at one of

    least-squares   argmin_{a, b} sum (ReLU(z) - a z - b)^2 over calibration images; exact where z keeps its sign
    paper           a = 0.4, b = 0
    zero            a = b = 0, not trained: neuron pruning

Least squares goes site by site from the input on, so that later ones see the pre-activations that the network has with
the earlier ones grafted. Neurons that are grafted already keep their lines.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from grafting.activation import GraftedReLU
from grafting.sites import Site, exchanged, observe, relu_sites
from verify.errors import InvalidInput, ShapeMismatch

INITS = ("least-squares", "paper", "zero")
PAPER_SLOPE = 0.4

Selection = Mapping[str, Tensor]
"""ReLU site name -> bool tensor of the site's shape: what is to be grafted. Every site is named."""


def graft(model: nn.Module, input_shape: tuple[int, ...], selection: Selection, init: str = "least-squares",
          calibration: Tensor | None = None) -> nn.Module:
    """A copy of `model` in which the selected neurons are lines; the model itself is left as it is.

    `calibration` (n, *input_shape): images for least squares. Raises `InvalidInput` (unknown or missing names, no
    calibration images) and `ShapeMismatch` by name.
    """
    if init not in INITS:
        raise InvalidInput(f"unknown init {init!r}; known are {', '.join(INITS)}")
    sites = relu_sites(model, input_shape)
    check_selection(selection, sites)
    fresh = {name: selection[name] & ~already(model, site) for name, site in sites.items()}
    fresh = {name: mask for name, mask in fresh.items() if bool(mask.any())}
    if fresh and init == "least-squares" and (calibration is None or not len(calibration)):
        raise InvalidInput("least squares needs calibration images; init='paper' or 'zero' does without")
    result = exchanged(model, {name: _module(model, sites[name], mask, init) for name, mask in fresh.items()}, sites)
    if init == "least-squares":
        for name, site in relu_sites(result, input_shape).items():
            if name in fresh:
                _fit(result, site, fresh[name], calibration)
    return result


def check_selection(selection: Selection, sites: Mapping[str, Site]) -> None:
    """Raises by name when the selection does not name every site, names others, or has masks of wrong shape or type."""
    unknown, missing = sorted(selection.keys() - sites.keys()), sorted(sites.keys() - selection.keys())
    if unknown or missing:
        raise InvalidInput(f"a selection must name every ReLU site once: unknown {unknown}, missing {missing}; "
                           f"the sites are {list(sites)}")
    for name, mask in selection.items():
        if tuple(mask.shape) != sites[name].shape:
            raise ShapeMismatch(f"site {name!r}: the selection has shape {list(mask.shape)}, the site "
                                f"{list(sites[name].shape)}")
        if mask.dtype != torch.bool:
            raise InvalidInput(f"site {name!r}: a selection holds booleans, got {mask.dtype}")


def already(model: nn.Module, site: Site) -> Tensor:
    """Which neurons of a site are lines: (*shape) bool on the CPU."""
    module = model.get_submodule(site.name) if site.own_module else None
    if isinstance(module, GraftedReLU):
        return module.selected.cpu()
    return torch.zeros(site.shape, dtype=torch.bool)


def selected(model: nn.Module, input_shape: tuple[int, ...]) -> dict[str, Tensor]:
    """All lines of a model, as a selection."""
    return {name: already(model, site) for name, site in relu_sites(model, input_shape).items()}


def _module(model: nn.Module, site: Site, fresh: Tensor, init: str) -> GraftedReLU:
    """The site's activation with `fresh` neurons added; their lines still have to be fitted for least squares."""
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(()))
    old = model.get_submodule(site.name) if site.own_module else None
    old = old if isinstance(old, GraftedReLU) else None
    start = torch.full(site.shape, PAPER_SLOPE if init == "paper" else 0.0)
    slope = torch.where(fresh, start, torch.zeros(()) if old is None else old.slope.detach().cpu())
    intercept = torch.zeros(site.shape) if old is None else old.intercept.detach().cpu() * ~fresh
    return GraftedReLU(already(model, site) | fresh, slope.to(like), intercept.to(like), frozen=init == "zero")


@torch.no_grad()
def _fit(model: nn.Module, site: Site, fresh: Tensor, x: Tensor) -> None:
    """Sets the lines of `fresh` neurons of a site to least squares over the images."""
    module, sums = model.get_submodule(site.name), LeastSquares(site.shape)
    observe(model, {site.name: site}, x, lambda _, z: sums.add(z))
    slope, intercept = (line.to(module.slope) for line in sums.solve())
    here = fresh.to(module.slope.device)
    module.slope.copy_(torch.where(here, slope, module.slope))
    module.intercept.copy_(torch.where(here, intercept, module.intercept))


class LeastSquares:
    """argmin_{a, b} sum (relu(z) - a z - b)^2 per neuron over batches of z, in one pass, float64.

    Sums are taken around the first batch's mean, so that nearly constant pre-activations do not cancel. Exact: a = 1
    and b = 0 where z >= 0 throughout, a = b = 0 where z <= 0 throughout (both include constant z).
    """

    def __init__(self, shape: tuple[int, ...]):
        self.shape, self.count = shape, 0
        self.shift = None

    def add(self, z: Tensor) -> None:
        """z (b, *shape)."""
        z = z.detach().double()
        if self.shift is None:
            self.shift = z.mean(0)
            zero = torch.zeros_like(self.shift)
            self.z, self.r, self.zz, self.zr = zero, zero, zero, zero
            self.low, self.high = torch.full_like(zero, torch.inf), torch.full_like(zero, -torch.inf)
        moved, r = z - self.shift, z.clamp(min=0)
        self.count += len(z)
        self.z, self.r = self.z + moved.sum(0), self.r + r.sum(0)
        self.zz, self.zr = self.zz + (moved * moved).sum(0), self.zr + (moved * r).sum(0)
        self.low, self.high = torch.minimum(self.low, z.amin(0)), torch.maximum(self.high, z.amax(0))

    def solve(self) -> tuple[Tensor, Tensor]:
        """Slopes and intercepts, (*shape) float64."""
        mean, r_mean, variance, covariance = self._moments()
        on, off = self.low >= 0, self.high <= 0
        slope = torch.where(variance > 0, covariance / variance.clamp(min=torch.finfo(variance.dtype).tiny), 0.0)
        slope = torch.where(on, 1.0, torch.where(off, 0.0, slope.clamp(0, 1)))
        intercept = torch.where(on | off, 0.0, r_mean - slope * (mean + self.shift))
        return slope, intercept

    def residual(self) -> Tensor:
        """Mean of (relu(z) - a z - b)^2 at the solution, (*shape) float64."""
        _, r_mean, variance, covariance = self._moments()
        slope, _ = self.solve()
        # relu(z)^2 = relu(z) z, and the mean of relu(z) (z - shift) is known.
        r_variance = self.zr / self.count + self.shift * r_mean - r_mean * r_mean
        error = (r_variance - 2 * slope * covariance + slope * slope * variance).clamp(min=0)
        return torch.where((self.low >= 0) | (self.high <= 0), 0.0, error)

    def _moments(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Means of z - shift and relu(z), variance of z, covariance of both."""
        mean, r_mean = self.z / self.count, self.r / self.count
        return mean, r_mean, self.zz / self.count - mean * mean, self.zr / self.count - mean * r_mean
