"""Differences that two networks have: points found by sampling and gradient ascent, measured on both files.

A difference found bounds the largest one from below. Over the reals it is computed exactly where all operators allow
it; the runtime's own difference contains the rounding of both executions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from verify.budget import never
from verify.certificate.exact import exact_output
from verify.certificate.witness import Replayer, project_inside
from verify.errors import OutOfResources, UnsupportedOperator
from verify.pairs.network import Pair
from verify.query import InputBox, Spec

SAMPLES, STARTS, STEPS = 1 << 15, 512, 40
"""Differences of close networks have many small peaks: many points, short steps that are taken only uphill. (On
networks against their float16 copies 4,096 samples and 16 starts found as little as 0.4 times as much.)"""

VALUES = 3e8
"""Entries of both graphs' values that the samples may fill together."""

EXACT_WORK = 1e9
"""Multiplications that one exact evaluation may take."""


@dataclass(frozen=True, eq=False)
class Seen:
    """A point x and |y_j - y'_j| there, (m,): of onnxruntime's outputs, and over the reals, rounded towards 0 (None
    where they are not computed exactly)."""

    x: np.ndarray
    executed: np.ndarray
    real: np.ndarray | None = None

    @property
    def largest(self) -> float:
        """The largest difference over the reals, as far as it is known; else that of the executions."""
        return float(np.max(self.executed if self.real is None else self.real, initial=0.0))


@dataclass(frozen=True, eq=False)
class Meter:
    """Measures differences at points of a box, for pairs that share their input."""

    pair: Pair
    box: InputBox

    @cached_property
    def replayer(self) -> Replayer:
        network = self.pair.network
        return Replayer(network.parts, Spec(self.pair.inputs, 2 * self.pair.outputs, (), "the pair"), network.wiring)

    def seen(self, x: np.ndarray) -> Seen | None:
        """At the point of the networks' type in the box that is nearest to x; None where the box holds none or the
        outputs are not finite."""
        point, m = self.replayer.network.typed(project_inside, x, self.box), self.pair.outputs
        if point is None:
            return None
        y = self.replayer.network.run(point).astype(np.float64)
        if not np.isfinite(y).all():
            return None
        return Seen(point, np.abs(y[:m] - y[m:]), self._real(point))

    def _real(self, x: np.ndarray) -> np.ndarray | None:
        if not self.pair.exact:
            return None
        try:
            y, other = (exact_output(network.graph, x, EXACT_WORK) for network in (self.pair.first, self.pair.second))
        except (UnsupportedOperator, OutOfResources):
            return None
        gaps = [abs(a - b) for a, b in zip(y, other, strict=True)]
        return np.array([near if (near := float(gap)) <= gap else math.nextafter(near, 0.0) for gap in gaps])


def widest(meter: Meter, seed: int = 0, expired: Callable[[], bool] = never) -> Seen | None:
    """The point with the largest difference that sampling and gradient ascent find."""
    first, second = meter.pair.first.graph, meter.pair.second.graph
    box, generator = meter.box.interval(first.input.shape), torch.Generator().manual_seed(seed)
    size = sum(math.prod(node.shape) for graph in (first, second) for node in graph.nodes)
    count = max(1, min(SAMPLES, int(VALUES / size)))
    points = box.sample(count, generator)
    points[1::3] = torch.where(points[1::3] < box.center, box.lower, box.upper)
    points[0] = box.center[0]

    def differences(x: Tensor) -> Tensor:
        y, other = first.evaluate(x), second.evaluate(x.reshape(len(x), *second.input.shape))
        return (y.flatten(1) - other.flatten(1)).abs().amax(1).nan_to_num(nan=-1.0)

    with torch.no_grad():
        best, chosen = differences(points).topk(min(STARTS, count))
        x = points[chosen]
    for step in range(STEPS):
        x.requires_grad_()
        with torch.enable_grad():
            value = differences(x)
            if expired() or not value.requires_grad:
                break
            (gradient,) = torch.autograd.grad(value.sum(), x)
        with torch.no_grad():
            moved = x + 0.1 * 0.9**step * box.width / 2 * gradient.sign()
            moved = moved.maximum(box.lower).minimum(box.upper)
            better = (value := differences(moved)) > best
            best = torch.where(better, value, best)
            x = torch.where(better.reshape(-1, *[1] * (x.dim() - 1)), moved, x)
    found = [meter.seen(point) for point in x.detach()[best.argsort(descending=True)[:3]].flatten(1).numpy()]
    return max((seen for seen in found if seen is not None), key=lambda seen: seen.largest, default=None)
