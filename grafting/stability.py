"""How unstable neurons are around given images: the verifier's own root bounds, neuron by neuron.

For every image the network is collapsed over the ball of radius eps as `verify run` does it (`verify.bounds.root`):
CROWN bounds, with method `alpha-crown` then refined with slopes of their own. A neuron with l < 0 < u is unstable; the
others, grafted ones included, are not in the collapsed network at all. Per neuron, means over the images of

    unstable   1 where it is unstable: the share of images
    area       -l u / (u - l), the height of the relaxation's triangle (its area is width / 2 times this)
    weighted   area times |coefficient of relu(z)| in the CROWN bound of the margin that is smallest: what this
               relaxation can cost that margin, as BaBSR scores splits (Bunel et al. 2020)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from grafting.sites import Site, relu_sites
from verify.bounds.compact import CompactNetwork
from verify.bounds.dual import AscentOptions, DualProblem
from verify.bounds.root import compact_root, refine
from verify.errors import InvalidInput
from verify.graph import Graph
from verify.live import LiveNetwork
from verify.onnx_import.simplify import simplify
from verify.properties import robustness
from verify.query import lower

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
    live = LiveNetwork(model, input_shape)
    names = live_names(live, sites)
    graph = simplify(live.graph(detach=True, dtype=torch.float64))
    sums = {kind: {name: torch.zeros(site.shape, dtype=torch.float64).flatten() for name, site in sites.items()}
            for kind in ("unstable", "area", "weighted")}
    with torch.no_grad():
        for image, label in zip(x, y.tolist(), strict=True):
            network = _collapsed(graph, image, label, eps, method, clip)
            coefficients = _coefficients(network)
            for layer in network.layers:
                l, u = layer.lower, layer.upper
                own = slice(layer.start - network.inputs, layer.start - network.inputs + layer.size)
                open_ = (l < 0) & (u > 0)
                area = torch.where(open_, -l * u / (u - l).clamp(min=torch.finfo(l.dtype).tiny), 0.0)
                at = layer.neurons.cpu()
                for kind, value in (("unstable", open_.double()), ("area", area),
                                    ("weighted", area * coefficients[own].abs())):
                    sums[kind][names[layer.node]].index_add_(0, at, value.cpu().double())
    means = {kind: {name: total.reshape(sites[name].shape) / len(x) for name, total in found.items()}
             for kind, found in sums.items()}
    return Stability(**means, method=method, images=len(x))


def live_names(live: LiveNetwork, sites: Mapping[str, Site]) -> dict[str, str]:
    """ReLU of the live network -> site. A grafted site's ReLU is a part of its module."""
    found = {}
    for name in sites:
        inner = name if name in live.relus else f"{name}.relu"
        if inner not in live.relus:
            raise InvalidInput(f"the ReLU {name!r} has no bounds; those that have: {', '.join(live.relus)}")
        found[inner] = name
    return found


def _collapsed(graph: Graph, image: Tensor, label: int, eps: float, method: str, clip: tuple[float, float] | None
               ) -> CompactNetwork:
    """The collapsed network over the ball around one image, with margins as rows."""
    outputs = graph[graph.output].shape[-1]
    spec = robustness(image, eps, label, outputs, clip)
    query = lower(spec.cases[0], graph, spec)
    varying = torch.from_numpy(query.varying).to(graph.device)
    network = compact_root(query.graph, query.interval(), varying).network
    return refine(network, AscentOptions(ITERATIONS, lr_alpha=0.25)) if method == "alpha-crown" else network


def _coefficients(network: CompactNetwork) -> Tensor:
    """CROWN's coefficients (u,) on the outputs of the unstable neurons, for the row with the smallest bound."""
    problem = DualProblem.of(network)
    rows = torch.eye(network.row_weight.shape[0], dtype=network.row_weight.dtype, device=network.row_weight.device)
    done = problem.backward(problem.initial(rows))
    return done.form[done.bound.argmin(), network.inputs :]
