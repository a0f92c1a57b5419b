"""CROWN-IBP (Zhang et al. 2020) with loss fusion (Xu et al. 2020, "Automatic perturbation analysis").

The robust loss is log S, S = sum_i exp(z_i) over the margins z_i = f_i - f_y (z_y = 0). On the interval of z_i that IBP
gives, exp is below its chord, so S <= sum_i (a_i z_i + b_i): one row on the output, whatever the number of classes. The
row is walked back by CROWN on IBP's intervals.
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.losses.ibp import margins
from training.step import no_autocast
from verify.bounds.crown import output_form
from verify.bounds.walk import Bounds
from verify.graph import Graph
from verify.relaxations import TRAINING
from verify.sets import Interval


def chords(margin: Interval, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Slopes a and intercepts b (n, k) of lines above exp(z - shift) on the margins; `shift` (n, 1)."""
    low, high = torch.exp(margin.lower - shift), torch.exp(margin.upper - shift)
    width = margin.upper - margin.lower
    narrow = width < 1e-4
    # On a narrow interval the quotient is noise; the slope at the upper end is above the chord's.
    slope = torch.where(narrow, high, (high - low) / torch.where(narrow, torch.ones_like(width), width))
    return slope, low - slope * margin.lower


def fused(graph: Graph, box: Interval, bounds: Bounds, y: Tensor, beta: float) -> Tensor:
    """Mean over the batch of log(beta S_crown + (1 - beta) S_ibp), both upper bounds of S."""
    margin = margins(graph, bounds, y)
    shift = margin.upper.detach().amax(1, keepdim=True)  # >= 0: the own class is among them
    total = torch.exp(margin.upper - shift).sum(1)
    if beta > 0:
        with no_autocast(y.device):
            crown = upper_bound(graph, box, bounds, y, chords(margin, shift))
        # Never above IBP's bound by more than rounding would have it; never below the own class's term.
        total = beta * crown.clamp_min(torch.finfo(total.dtype).tiny) + (1 - beta) * total
    return (shift.squeeze(1) + torch.log(total)).mean()


def upper_bound(graph: Graph, box: Interval, bounds: Bounds, y: Tensor, lines: tuple[Tensor, Tensor]) -> Tensor:
    """Upper bound (n,) of sum_i (a_i (f_i - f_y) + b_i) over the box: minus CROWN's lower bound of its negation."""
    slope, intercept = lines
    row = (-slope).scatter_add(1, y[:, None], slope.sum(1, keepdim=True))
    row = row.reshape(len(y), 1, *graph[graph.output].shape)
    return intercept.sum(1) - output_form(graph, bounds, row, TRAINING).minimum(box).squeeze(1)
