"""Interval bound propagation as a loss (Gowal et al. 2019): cross-entropy of the worst margins in the box.

The margins f_i - f_y are bounded with the last linear layer merged with the class differences ("elision"):
f_i - f_y <= (w_i - w_y) c + |w_i - w_y| r + b_i - b_y on the interval c -+ r of the features.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from training.step import Step, no_autocast
from verify.bounds.walk import Bounds, forward
from verify.graph import Graph, Node
from verify.ops import Linear
from verify.sets import Interval

FEW_CLASSES = 32


def bounds(step: Step, eps: float) -> tuple[Graph, Interval, Bounds]:
    """The live graph with the batch's statistics, the box, and the intervals that `margins` and CROWN need."""
    with no_autocast(step.x.device):
        graph = step.network().graph(statistics=step.statistics, fold=True)
        box, last = step.box(eps), graph[graph.output]
        return graph, box, forward(graph, box, until=last.inputs[0] if _elided(last) else None, rounded=False)


def _elided(last: Node) -> bool:
    return isinstance(last.op, Linear) and len(last.shape) == 2


def margins(graph: Graph, found: Bounds, y: Tensor) -> Interval:
    """The interval of f_i - f_y for every class i: (n, k), exactly 0 for i = y. Upper ends near 0 or above: not robust.
    """
    last = graph[graph.output]
    if not _elided(last):
        out = found[graph.output]
        low, high = (side.reshape(len(y), -1) for side in (out.lower, out.upper))
        return _without_own(low - high.gather(1, y[:, None]), high - low.gather(1, y[:, None]), y)
    features, half = found[last.inputs[0]], last.op.weight * 0.5
    with no_autocast(y.device):
        center = (features.lower + features.upper).reshape(len(y), -1) @ half.T
        center = center if last.op.bias is None else center + last.op.bias
        center = center - center.gather(1, y[:, None])
        radius = _radius((features.upper - features.lower).reshape(len(y), -1), half, y)
        return _without_own(center - radius, center + radius, y)


def _radius(width: Tensor, weight: Tensor, y: Tensor) -> Tensor:
    """sum_j |w_ij - w_yj| width_j: (n, k)."""
    k = len(weight)
    if k <= FEW_CLASSES:  # one product with all pairs of classes is cheaper than a matrix per image
        pairs = (weight.unsqueeze(1) - weight.unsqueeze(0)).abs()  # (y, i, h)
        whole = (width @ pairs.flatten(0, 1).T).unflatten(1, (k, k))
        return whole.gather(1, y[:, None, None].expand(-1, 1, k)).squeeze(1)
    return ((weight.unsqueeze(0) - weight[y].unsqueeze(1)).abs() @ width.unsqueeze(2)).squeeze(2)


def _without_own(low: Tensor, high: Tensor, y: Tensor) -> Interval:
    own = F.one_hot(y, low.shape[1]).bool()
    return Interval(low.masked_fill(own, 0), high.masked_fill(own, 0))


def worst_case(margin: Interval, y: Tensor) -> Tensor:
    """Mean cross-entropy of the logits that are worst within the margins."""
    return F.cross_entropy(margin.upper, y)
