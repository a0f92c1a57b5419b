"""Instability: a channel scores minus the share of its neurons, over held-out images, that are unstable (l < 0 < u)
under CROWN bounds. These are the neurons that a complete verifier may have to branch on."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from pruning.criteria.base import Context, Criterion, Scores
from pruning.criteria.neurons import Boxes, average
from verify.bounds.crown import crown_bounds
from verify.sets import Interval


def score(model: nn.Module, context: Context) -> Scores:
    """(c,) per layer, in [-1, 0]."""
    return {weight: -share for weight, share in average(model, context, "instability", _unstable).items()}


def _unstable(boxes: Boxes, box: Interval, labels: Tensor) -> Mapping[str, Tensor]:
    bounds = crown_bounds(boxes.graph, box, intermediate=boxes.hidden)
    return {site.weight: (bounds[site.before].lower < 0) & (bounds[site.before].upper > 0) for site in boxes.sites}


CRITERION = Criterion("instability", ("channel",), score)
