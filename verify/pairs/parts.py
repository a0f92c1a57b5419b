"""Bounds of the differences of two networks on the parts of a box, the worst part first: an upper bound that falls as
long as it is given time.

A part is cut in the middle of one input. Cutting pays where it makes neurons stable, so the share of input i in what
moves the first network, g_i w_i / sum_k g_k w_k with g_i = sum_j |dy_j / dx_i| at the centre of a part of widths w,
counts, and so does a tenth of its width relative to the whole box: an input that seems not to matter at the centre is
cut late, but it is. (Equal numbers of parts, five boxes: within 15 % of the better one of both rules, which lose a
factor of 2 and of 36 where they are wrong.) The bounds of a part are CROWN's, met with those of the part that it came
from; the largest over all parts is proved for the box. One tree serves every bound, where a bisection asks its
questions from the beginning. Sound, complete for few inputs in the limit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from verify.bounds.crown import crown_bounds, output_form
from verify.bounds.ibp import ibp
from verify.bounds.walk import Bounds, Charges, charges
from verify.errors import OutOfResources, Unbounded
from verify.graph import Graph
from verify.onnx_import.simplify import simplify
from verify.pairs.network import Pair
from verify.query import InputBox
from verify.sets import Interval

FEW_INPUTS = 20
"""With more inputs that vary cutting is hopeless."""

BATCH = 128
MOST_PARTS = 200_000


@dataclass(frozen=True, eq=False)
class Parts:
    """Parts (n) of a box that cover it, and rigorous bounds `worst` (n, m) of |y_j - y'_j| on each of them. `size`: how
    many are cut next."""

    pair: Pair
    box: InputBox
    graph: Graph
    rounding: Charges
    known: Bounds
    parts: Interval
    worst: Tensor
    size: int = 1

    @classmethod
    @torch.no_grad()
    def of(cls, pair: Pair, box: InputBox) -> Parts:
        """The box as it is."""
        graph = simplify(pair.network.graph)
        whole = box.interval(graph.input.shape)
        known = ibp(graph, whole)
        start = cls(pair, box, graph, charges(graph, known), known, whole, whole.lower.new_zeros(0))
        return replace(start, worst=start._bounded(whole))

    @property
    def bounds(self) -> np.ndarray:
        """(m,), proved for the whole box; infinite where nothing is."""
        return self.worst.amax(0).numpy()

    @torch.no_grad()
    def cut(self, enough: float, expired: Callable[[], bool]) -> Parts:
        """With the worst parts cut until all bounds are at most `enough`, or `expired`."""
        varying = torch.from_numpy(np.flatnonzero(self.box.inner_upper > self.box.inner_lower))
        whole, found = self.box.interval(self.graph.input.shape), self
        while (0 < len(varying) <= FEW_INPUTS and bool((found.worst > enough).any()) and not expired()
               and len(found.worst) < MOST_PARTS):
            chosen = found.worst.amax(1).topk(min(found.size, len(found.worst))).indices
            children = _halves(self.pair.first.graph, found.parts[chosen], whole, varying)
            if children is None:
                break
            rest = torch.ones(len(found.worst), dtype=torch.bool).index_fill(0, chosen, False)
            worst = torch.minimum(self._bounded(children), found.worst[chosen].repeat(2, 1))
            parts = Interval(*(torch.cat(ends) for ends in ((found.parts.lower[rest], children.lower),
                                                            (found.parts.upper[rest], children.upper))))
            found = replace(found, parts=parts, worst=torch.cat([found.worst[rest], worst]),
                            size=min(2 * found.size, BATCH // 2))
        return found

    def _bounded(self, parts: Interval) -> Tensor:
        m = self.pair.outputs
        eye = torch.eye(m, dtype=torch.float64)
        rows = torch.cat([torch.cat([eye, -eye], 1), torch.cat([-eye, eye], 1)]).unsqueeze(0)
        try:
            bounds = crown_bounds(self.graph, parts, charges=self.rounding, known=self.known)
            found = output_form(self.graph, bounds, rows, charges=self.rounding).minimum(parts)
        except (OutOfResources, Unbounded):
            return torch.full((len(parts.lower), m), torch.inf, dtype=torch.float64)
        return (-found).clamp(min=0).nan_to_num(nan=torch.inf, posinf=torch.inf).reshape(-1, 2, m).amax(1)


def _halves(graph: Graph, parts: Interval, whole: Interval, varying: Tensor) -> Interval | None:
    """Every part cut in two, the lower halves first; None where some part is as small as numbers allow."""
    lower, upper = parts.lower.flatten(1), parts.upper.flatten(1)
    axis = varying[_scores(graph, parts, whole)[:, varying].argmax(1)].unsqueeze(1)
    middle = (lower + (upper - lower) / 2).gather(1, axis)
    if bool(((middle <= lower.gather(1, axis)) | (middle >= upper.gather(1, axis))).any()):
        return None
    ends = torch.cat([lower, lower.scatter(1, axis, middle)]), torch.cat([upper.scatter(1, axis, middle), upper])
    return Interval(*(end.reshape(-1, *parts.lower.shape[1:]) for end in ends))


def _scores(graph: Graph, parts: Interval, whole: Interval) -> Tensor:
    """What cutting each input promises, (n, inputs)."""
    x = parts.center.detach().requires_grad_()
    moved = torch.zeros_like(x)
    with torch.enable_grad():
        y = graph.evaluate(x).flatten(1)
        for j in range(y.shape[1] if y.requires_grad else 0):
            (gradient,) = torch.autograd.grad(y[:, j].sum(), x, retain_graph=True, allow_unused=True)
            moved = moved if gradient is None else moved + gradient.abs()
    tiny = torch.finfo(moved.dtype).tiny
    moved = (moved.detach() * parts.width).flatten(1).nan_to_num(nan=0.0, posinf=0.0)
    edges = parts.width.flatten(1) / whole.width.flatten(1).clamp(min=tiny)
    return moved / moved.sum(1, keepdim=True).clamp(min=tiny) + 0.1 * edges
