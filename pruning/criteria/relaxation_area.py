"""Backward-weighted relaxation: what the triangle relaxations of a channel cost the margin bound of held-out images.

CROWN passes a row of coefficients A on relu(z) through the chord where A < 0, which costs -A times its intercept
-l u / (u - l) (the triangle's area is half of that times u - l); summed over the neurons of a channel, in the row of
the smallest margin bound. The channel scores minus that sum. The summand is the intercept score by which branch and
bound ranks the neurons that it may split (Bunel et al. 2020).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pruning.criteria.base import Context, Criterion, Scores
from pruning.criteria.neurons import Boxes, average
from training.certify import margin_rows
from verify.bounds.crown import crown_bounds, crown_rule
from verify.bounds.walk import backward
from verify.graph import Node
from verify.relaxations import CROWN
from verify.relaxations.relu import chord
from verify.sets import Interval


def score(model: nn.Module, context: Context) -> Scores:
    """(c,) per layer, at most 0, in units of the margin."""
    return {weight: -cost for weight, cost in average(model, context, "relaxation-area", _costs, total=True).items()}


def _costs(boxes: Boxes, box: Interval, labels: Tensor) -> Mapping[str, Tensor]:
    graph = boxes.graph
    bounds = crown_bounds(graph, box, intermediate=boxes.hidden)
    rule, seen = crown_rule(bounds, CROWN), {}

    def recording(node: Node, coeff: Tensor) -> tuple[tuple[Tensor, ...], Tensor | None, Tensor | None]:
        seen[node.name] = coeff
        return rule(node, coeff)

    rows = margin_rows(labels, graph[graph.output].shape, box.lower)
    margins = backward(graph, graph.output, rows, recording).minimum(box)
    worst, images = margins.argmin(1), torch.arange(len(labels), device=labels.device)
    found = {}
    for site in boxes.sites:
        coeff = seen[site.relu].expand(len(labels), *seen[site.relu].shape[1:])[images, worst]
        found[site.weight] = -coeff.clamp(max=0) * chord(bounds[site.before])[1]
    return found


CRITERION = Criterion("relaxation-area", ("channel",), score)
