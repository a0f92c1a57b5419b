"""How unstable neurons are around given images: the verifier's own bounds, neuron by neuron.

    crown         CROWN on batches of balls of radius eps, in the model's dtype, rounding not charged: fast
    alpha-crown   the root bounds of `verify run`: every ball's collapsed network (`verify.bounds.root`), refined with
                  slopes per neuron; image by image in float64: tighter and much slower

A neuron with l < 0 < u is unstable. Neurons that are lines already read the constant 0 and are stable. Per neuron,
means over the images of

    unstable   1 where it is unstable: the share of images
    area       -l u / (u - l), the height of the relaxation's triangle (its area is width / 2 times this)
    weighted   area times |coefficient of relu(z)| in the CROWN bound of the margin that is smallest: what this
               relaxation can cost that margin, as BaBSR scores splits (Bunel et al. 2020)

Estimates that select neurons; no claim rests on them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from grafting.sites import Site, relu_sites
from training.certify import batch_size, margin_rows
from verify.bounds.ascent import AscentOptions
from verify.bounds.compact import CompactNetwork
from verify.bounds.crown import crown_bounds, crown_rule
from verify.bounds.dual import DualProblem
from verify.bounds.root import compact_root, refine
from verify.bounds.walk import backward
from verify.errors import InvalidInput
from verify.graph import Graph, Node
from verify.live import LiveNetwork
from verify.onnx_import.simplify import simplify
from verify.properties import robustness
from verify.query import lower
from verify.relaxations import TRAINING
from verify.runtime import full_precision
from verify.sets import Interval

METHODS = ("alpha-crown", "crown")
ITERATIONS = 10
"""Of the ascent per layer; the first ones gain most."""


@dataclass(frozen=True, eq=False)
class Stability:
    """Site name -> mean over `images` images, (*shape) float64 on the CPU."""

    unstable: Mapping[str, Tensor]
    area: Mapping[str, Tensor]
    weighted: Mapping[str, Tensor]
    method: str
    images: int


def stability(model: nn.Module, input_shape: tuple[int, ...], x: Tensor, y: Tensor, eps: float,
              method: str = "alpha-crown", clip: tuple[float, float] | None = (0.0, 1.0)) -> Stability:
    """Measures every neuron around images x (n, *input_shape) with labels y (n,); eps in the units of x."""
    if method not in METHODS:
        raise InvalidInput(f"unknown bounds {method!r}; known are {', '.join(METHODS)}")
    if not len(x):
        raise InvalidInput("instability is measured around images; none were given")
    sites = relu_sites(model, input_shape)
    live, sums = LiveNetwork(model, input_shape), _Sums(sites)
    names = live_names(live, sites)
    with torch.no_grad(), full_precision():
        if method == "crown":
            _by_crown(live, names, x, y, eps, clip, sums)
        else:
            _by_alpha(live, names, x, y, eps, clip, sums)
    return Stability(*({name: total.reshape(sites[name].shape) / len(x) for name, total in found.items()}
                       for found in (sums.unstable, sums.area, sums.weighted)), method=method, images=len(x))


class _Sums:
    """Sums over images per site, flat."""

    def __init__(self, sites: Mapping[str, Site]):
        self.unstable, self.area, self.weighted = (
            {name: torch.zeros(math.prod(site.shape), dtype=torch.float64) for name, site in sites.items()}
            for _ in range(3))

    def add(self, name: str, at: Tensor | slice, l: Tensor, u: Tensor, coefficient: Tensor) -> None:
        """Pre-activation bounds (n, k) of neurons `at` on n images, and the coefficients of their outputs."""
        open_ = (l < 0) & (u > 0)
        area = torch.where(open_, -l * u / (u - l).clamp(min=torch.finfo(l.dtype).tiny), 0.0)
        for total, value in ((self.unstable, open_), (self.area, area), (self.weighted, area * coefficient.abs())):
            total[name][at] += value.double().sum(0).cpu()


def _by_crown(live: LiveNetwork, names: Mapping[str, str], x: Tensor, y: Tensor, eps: float,
              clip: tuple[float, float] | None, sums: _Sums) -> None:
    graph = live.graph(detach=True, fold=True)
    for images, labels in zip(x.split(batch_size(graph)), y.split(batch_size(graph)), strict=True):
        center = images.to(graph.device, graph.dtype).unsqueeze(1)
        box = Interval(center - eps, center + eps)
        box = box if clip is None else Interval(box.lower.clamp(min=clip[0]), box.upper.clamp(max=clip[1]))
        bounds, seen = crown_bounds(graph, box, TRAINING), {}
        lines = crown_rule(bounds, TRAINING)

        def rule(node: Node, rows: Tensor, lines=lines, seen=seen) -> tuple[tuple[Tensor, ...], Tensor, Tensor | None]:
            seen[node.name] = rows
            return lines(node, rows)

        rows = margin_rows(labels.to(graph.device), graph[graph.output].shape, center)
        worst = backward(graph, graph.output, rows, rule, rounded=False).minimum(box).argmin(1)
        for node in graph.nonlinear:
            pre = bounds[node.inputs[0]]
            low, high = (side.flatten(1).expand(len(images), -1) for side in (pre.lower, pre.upper))
            coefficient = seen[node.name][torch.arange(len(images), device=worst.device), worst].flatten(1)
            sums.add(names[node.name], slice(None), low, high, coefficient)


def _by_alpha(live: LiveNetwork, names: Mapping[str, str], x: Tensor, y: Tensor, eps: float,
              clip: tuple[float, float] | None, sums: _Sums) -> None:
    graph = simplify(live.graph(detach=True, dtype=torch.float64))
    for image, label in zip(x, y.tolist(), strict=True):
        network = _collapsed(graph, image, label, eps, clip)
        coefficients = _coefficients(network)
        for layer in network.layers:
            own = coefficients[layer.start - network.inputs :][: layer.size]
            sums.add(names[layer.node], layer.neurons.cpu(), layer.lower[None], layer.upper[None], own[None])


def live_names(live: LiveNetwork, sites: Mapping[str, Site]) -> dict[str, str]:
    """ReLU of the live network -> site. A grafted site's ReLU is a part of its module."""
    found = {}
    for name in sites:
        inner = name if name in live.relus else f"{name}.relu"
        if inner not in live.relus:
            raise InvalidInput(f"the ReLU {name!r} has no bounds; those that have: {', '.join(live.relus)}")
        found[inner] = name
    return found


def _collapsed(graph: Graph, image: Tensor, label: int, eps: float, clip: tuple[float, float] | None) -> CompactNetwork:
    """The collapsed network over the ball around one image, refined, with margins as rows."""
    outputs = graph[graph.output].shape[-1]
    spec = robustness(image, eps, label, outputs, clip)
    query = lower(spec.cases[0], graph, spec)
    varying = torch.from_numpy(query.varying).to(graph.device)
    network = compact_root(query.graph, query.interval(), varying).network
    return refine(network, AscentOptions(ITERATIONS, lr_alpha=0.25))


def _coefficients(network: CompactNetwork) -> Tensor:
    """CROWN's coefficients (u,) on the outputs of the unstable neurons, for the row with the smallest bound."""
    problem = DualProblem.of(network)
    rows = torch.eye(network.row_weight.shape[0], dtype=network.row_weight.dtype, device=network.row_weight.device)
    done = problem.backward(problem.initial(rows))
    return done.form[done.bound.argmin(), network.inputs :]
