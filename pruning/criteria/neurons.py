"""Pre-activation bounds of the neurons behind each prunable layer, on boxes around held-out images.

The bounds come from the engine that verifies, on the network as it is now. They rank units; no verdict rests on them,
so no rounding is charged.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pruning.criteria.base import Context, Scores
from pruning.layers import layers
from verify.errors import InvalidInput
from verify.graph import Graph
from verify.live import LiveNetwork
from verify.sets import Interval

IMAGES = 16
"""How many boxes are bounded at a time."""


@dataclass(frozen=True, eq=False)
class Site:
    """The ReLU that reads the channels of one pruned layer: its node in the graph, and the value in front of it."""

    weight: str
    relu: str
    before: str


@dataclass(frozen=True, eq=False)
class Boxes:
    """A masked network as a graph, and the sites of all pruned layers. `hidden`: CROWN's bounds of hidden layers."""

    live: LiveNetwork
    graph: Graph
    sites: tuple[Site, ...]
    hidden: str = "crown"

    @staticmethod
    def of(model: nn.Module, context: Context, criterion: str) -> Boxes:
        """Raises `InvalidInput` naming a layer whose channels no ReLU reads."""
        masked = copy.deepcopy(model).eval()
        context.mask.apply(masked)
        live = LiveNetwork(masked, tuple(context.x.shape[1:]))
        relus = {layer.weight: layer.relu for layer in layers(masked)}
        missing = [weight for weight in context.mask.keep if relus[weight] is None]
        if missing:
            raise InvalidInput(f"criterion {criterion!r} needs a ReLU that reads each channel; behind {missing[0]!r} "
                               "there is none (or pooling or a reshape in between). Use another criterion or scope")
        sites = tuple(Site(weight, relus[weight], live.before(relus[weight])) for weight in context.mask.keep)
        return Boxes(live, live.graph(detach=True, fold=True), sites, context.bounds)


Measure = Callable[[Boxes, Interval, Tensor], Mapping[str, Tensor]]
"""(network, boxes (n, 1, c, h, w), labels (n,)) -> weight name -> a value per neuron, (n, 1, c, ...)."""


@torch.no_grad()
def average(model: nn.Module, context: Context, criterion: str, measure: Measure, total: bool = False) -> Scores:
    """Weight name -> (c,): `measure` averaged over held-out images and over the neurons of a channel, or, with `total`,
    added up over these. The boxes have radius `context.eps` and are cut to [0, 1]."""
    boxes, found, images = Boxes.of(model, context, criterion), {}, 0
    for x, y in context.boxes(IMAGES):
        x = x.to(boxes.graph.device, boxes.graph.dtype).unsqueeze(1)
        box = Interval((x - context.eps).clamp(0, 1), (x + context.eps).clamp(0, 1))
        images += len(x)
        for weight, values in measure(boxes, box, y.to(boxes.graph.device)).items():
            values = values.expand(len(x), *values.shape[1:]).reshape(len(x), values.shape[2], -1).double()
            each = (values.sum(2) if total else values.mean(2)).sum(0)
            found[weight] = found[weight] + each if weight in found else each
    return {weight: value / images for weight, value in found.items()}
