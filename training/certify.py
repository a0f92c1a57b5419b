"""CROWN on many images at once: who is certified, how many neurons stay unstable, how loose their relaxation is.

For an image x with label y the box is {z : |z - x| <= eps, clip}, its limits rounded outward, and certified means

    min over the box of  f_y - f_j  > 0   for every other class j,

by CROWN (Zhang et al. 2018) with CROWN's own bounds of the hidden layers. Rigorous by default: rounding is charged
image by image, so a certificate is a proof about the graph over the real numbers.

A ReLU neuron is unstable on an image when its pre-activation interval [l, u] has l < 0 < u. Its relaxation area is
-l u / 2, the area between the ReLU and the chord above it; that of a stable neuron is 0. Removed and grafted neurons
read the constant 0: they count as neurons, and are stable.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from verify.bounds.crown import ROW_BYTES, crown
from verify.bounds.ibp import ibp
from verify.bounds.walk import Bounds, charges
from verify.errors import InvalidInput, ShapeMismatch
from verify.graph import Graph, Node
from verify.live import LiveNetwork
from verify.ops import Relu
from verify.relaxations import CROWN, TRAINING
from verify.runtime import full_precision
from verify.sets import Interval

Clip = tuple[float, float]
PIXELS: Clip = (0.0, 1.0)
LARGEST_BATCH, ROWS_AT_ONCE = 256, 256


@dataclass(frozen=True, eq=False)
class Bounded:
    """Per image: the least lower bound of a margin (n,), float64; per ReLU node: unstable neurons (n,) and relaxation
    area (n,). `neurons`: size of each ReLU node."""

    margins: Tensor
    unstable: Mapping[str, Tensor]
    area: Mapping[str, Tensor]
    neurons: Mapping[str, int]

    @property
    def verified(self) -> Tensor:
        """(n,) bool."""
        return self.margins > 0


def outer_ball(x: Tensor, eps: float, clip: Clip = PIXELS) -> Interval:
    """|z - x| <= eps within `clip`, in float64, rounded outward; like x.

    x - eps is rounded once; two-sum (Knuth) gives the error of that, and the limit moves by an ulp where it was inward.
    """
    if not (math.isfinite(eps) and eps >= 0):
        raise InvalidInput(f"eps must be a finite number, 0 or larger, got {eps}")
    center = x.double()

    def limit(radius: float, outward: float) -> Tensor:
        total = center + radius
        part = total - center
        error = (center - (total - part)) + (radius - part)
        away = torch.nextafter(total, torch.full_like(total, outward))
        return torch.where(error * math.copysign(1.0, outward) > 0, away, total)

    return Interval(limit(-eps, -math.inf).clamp(min=clip[0]), limit(eps, math.inf).clamp(max=clip[1]))


def margin_rows(labels: Tensor, shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Rows label minus each other class on an output of `shape` (k entries): (n, k - 1, *shape)."""
    k = math.prod(shape)
    rank = torch.arange(k - 1, device=labels.device)
    rivals = rank + (rank >= labels.unsqueeze(1))
    rows = F.one_hot(labels, k).unsqueeze(1) - F.one_hot(rivals, k)
    return rows.to(like).reshape(len(labels), k - 1, *shape)


def relu_nodes(graph: Graph) -> tuple[Node, ...]:
    return tuple(node for node in graph.nodes if isinstance(node.op, Relu))


def batch_size(graph: Graph) -> int:
    """How many images fit next to each other with a useful number of rows (see `verify.bounds.crown.chunk_rows`)."""
    widest = max(math.prod(node.shape) for node in graph.nodes)
    return max(1, min(LARGEST_BATCH, ROW_BYTES // (4 * widest * ROWS_AT_ONCE * torch.finfo(graph.dtype).bits // 8)))


def crown_batches(graph: Graph, x: Tensor, labels: Tensor, eps: float, *, clip: Clip = PIXELS, batch: int | None = None,
                  intermediate: str = "crown", rigorous: bool = True) -> Iterator[Bounded]:
    """`Bounded` of `batch` images after `batch` images (None: as many as fit), in order.

    `graph`: an imported, simplified network, or one of `LiveNetwork.graph(detach=True)`; bounds are computed on its
    device in its dtype. x (n, c, h, w), labels (n,); `intermediate="ibp"` takes intervals for the hidden layers (faster
    and looser); without `rigorous` nothing is charged for rounding, for estimates inside loops.
    """
    inputs = math.prod(graph.input.shape)
    if math.prod(x.shape[1:]) != inputs:
        raise ShapeMismatch(f"images have shape {list(x.shape[1:])}, the network takes {list(graph.input.shape)}")
    size = batch or batch_size(graph)
    for start in range(0, len(x), size):
        part = x[start : start + size].reshape(-1, *graph.input.shape)
        with torch.no_grad(), full_precision():
            box = outer_ball(part, eps, clip).to(graph.device, graph.dtype)
            yield _bounded(graph, box, labels[start : start + size], intermediate, rigorous)


def _bounded(graph: Graph, box: Interval, labels: Tensor, intermediate: str, rigorous: bool) -> Bounded:
    rows = margin_rows(labels.to(graph.device), graph[graph.output].shape, box.lower)
    cost = charges(graph, ibp(graph, box)) if rigorous else None
    lower, bounds = crown(graph, box, rows, CROWN if rigorous else TRAINING, cost, intermediate)
    margins = lower.double().nan_to_num(nan=-math.inf).amin(1).cpu()
    unstable, area = {}, {}
    for node in relu_nodes(graph):
        unstable[node.name], area[node.name] = _instability(node, bounds, len(margins))
    return Bounded(margins, unstable, area, {node.name: math.prod(node.shape) for node in relu_nodes(graph)})


def _instability(node: Node, bounds: Bounds, n: int) -> tuple[Tensor, Tensor]:
    pre = bounds[node.inputs[0]]
    lower, upper = pre.lower.flatten(1).double(), pre.upper.flatten(1).double()
    open_ = (lower < 0) & (upper > 0)
    area = torch.where(open_, -lower * upper / 2, torch.zeros_like(lower)).sum(1)
    return open_.sum(1).expand(n).cpu(), area.expand(n).cpu()


def joined(graph: Graph, parts: list[Bounded]) -> Bounded:
    """The parts one after the other."""
    names = {node.name: math.prod(node.shape) for node in relu_nodes(graph)}

    def all_of(name: str, which: str) -> Tensor:
        return torch.cat([getattr(part, which)[name] for part in parts]) if parts else torch.zeros(0)

    return Bounded(torch.cat([part.margins for part in parts]) if parts else torch.zeros(0),
                   {name: all_of(name, "unstable") for name in names}, {name: all_of(name, "area") for name in names},
                   names)


def crown_bounded(graph: Graph, x: Tensor, labels: Tensor, eps: float, **options) -> Bounded:
    """As `crown_batches`, in one piece."""
    return joined(graph, list(crown_batches(graph, x, labels, eps, **options)))


def crown_verified(graph: Graph, x: Tensor, labels: Tensor, eps: float, **options) -> Tensor:
    """Which images CROWN proves robust, (n,) bool on the CPU; see `crown_batches` for the arguments. A misclassified
    image is never among them."""
    return crown_bounded(graph, x, labels, eps, **options).verified


def quick_verified(live: LiveNetwork, x: Tensor, labels: Tensor, eps: float, *, intermediate: str = "crown",
                   clip: Clip = PIXELS, batch: int | None = None) -> Tensor:
    """As `crown_verified`, for a module in training: the parameters as they are now, eval mode, their own dtype and
    device, no rounding charged. For decisions on validation images, not for claims.

    Hidden layers get intervals first, and CROWN's bounds only for images that these leave open.
    """
    graph = live.graph(detach=True)
    with torch.no_grad():
        parts = (part.to(graph.device, graph.dtype).reshape(-1, *graph.input.shape) for part in x.split(LARGEST_BATCH))
        scores = torch.cat([graph.evaluate(part).flatten(1) for part in parts])
    found = torch.zeros(len(x), dtype=torch.bool)
    left = (scores.argmax(1).cpu() == labels.cpu()).nonzero().squeeze(1)
    for kind in ("ibp", "crown") if intermediate == "crown" else ("ibp",):
        proved = crown_verified(graph, x[left], labels[left], eps, clip=clip, batch=batch, intermediate=kind,
                                rigorous=False)
        found[left[proved]] = True
        left = left[~proved]
    return found
