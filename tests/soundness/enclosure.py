"""The laws of bounds on a network of any operators: no interval of a node, and no lower bound of a row, excludes what
the network does at a point of the box.

Values are float64; at every point what that evaluation may be off by itself (`running_error`) is allowed and nothing
else. Where the network has no value (a logarithm of a negative number) nothing is claimed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from tests.soundness.operator_networks import Drawn
from tests.soundness.operator_table import USES
from tests.soundness.running_error import running_error
from tests.soundness.search import descended, spread_points
from tests.verify.bounds.laws import rounding
from verify.bounds.alpha import alpha_crown
from verify.bounds.crown import crown
from verify.bounds.ibp import ibp
from verify.bounds.walk import Bounds
from verify.errors import ImportMismatch, InvalidInput
from verify.graph import Graph
from verify.onnx_import import Network, compare_with_onnxruntime
from verify.sets import Interval, entries

RADII = (0.01, 0.3, 1.0, 1.0, 0.0)
"""Of the box that the network was drawn for; the fourth one varies one input alone."""
ROWS, POINTS, STEPS = 4, 40, 6
ACCURACY = 2.0**-49
DTYPES = (torch.float64, torch.float32)


def boxes(drawn: Drawn, radii: tuple[float, ...], generator: torch.Generator) -> Interval:
    """One box (n, *shape) of float32 numbers per radius, at random centres of the box of the draw but for the largest
    ones."""
    low, high = (torch.from_numpy(end).double() for end in (drawn.lower, drawn.upper))
    middle, reach = (low + high) / 2, (high - low) / 2
    found = []
    for k, radius in enumerate(radii):
        share = 2 * torch.rand(low.shape, generator=generator, dtype=torch.float64) - 1
        center = middle + share * reach * max(1 - radius, 0.0)
        each = reach * radius
        if k == 3 and each.numel():
            only = torch.zeros_like(each).flatten()
            only[int(torch.randint(only.numel(), (1,), generator=generator))] = 1
            each = each * only.reshape(each.shape)
        found.append(((center - each).float().double(), (center + each).float().double()))
    lower, upper = (torch.stack(ends) for ends in zip(*found, strict=True))
    return Interval(torch.minimum(lower, upper), torch.maximum(lower, upper))


def import_differs(drawn: Drawn, network: Network) -> str:
    """How the import differs from the reference implementation (networks in double precision) or from onnxruntime
    (where it has the operators); empty if it does not."""
    points = torch.from_numpy(drawn.points).double()
    ours = network.graph.evaluate(points).reshape(drawn.outputs.shape).numpy()
    allowed = max(USES[name].reference for name in drawn.operators) if drawn.operators else 0.0
    if drawn.double and allowed < 1:
        values, errors = running_error(network.graph, points, torch.float64, ACCURACY)
        off = errors[network.graph.output].reshape(ours.shape).numpy()
        scale = max(1.0, float(np.abs(np.concatenate([v.flatten() for v in values.values()])).max()))
        if not (np.abs(ours - drawn.outputs) <= 100 * off.clip(max=1e300) + allowed * scale).all():
            return f"{float(np.abs(ours - drawn.outputs).max()):.3g} from the reference implementation"
    try:
        compare_with_onnxruntime(network, points)
    except InvalidInput:
        return ""  # onnxruntime has no such kernel, or leaves its numbers
    except ImportMismatch as error:
        return str(error)
    return ""


@dataclass(frozen=True, eq=False)
class Subject:
    """A graph in float64 and boxes (n, *shape) whose ends are float32 numbers."""

    graph: Graph
    box: Interval
    seed: int = 0

    @cached_property
    def rows(self) -> Tensor:
        """Some output entries, up and down, and a random combination: (r, *output shape)."""
        generator = torch.Generator().manual_seed(self.seed)
        shape = self.graph[self.graph.output].shape
        size = int(np.prod(shape))
        picked = torch.randperm(size, generator=generator)[:ROWS]
        unit = torch.eye(size, dtype=torch.float64)[picked]
        mixed = torch.randn(1, size, generator=generator, dtype=torch.float64).float().double()
        return torch.cat([unit, -unit, mixed]).reshape(-1, *shape)

    @cached_property
    def points(self) -> Tensor:
        """(n, k, *shape)."""
        generator = torch.Generator().manual_seed(self.seed)
        starts = spread_points(self.box, POINTS, generator)
        return torch.cat([starts, descended(self.graph, self.box, starts, self.rows, STEPS)], 1)

    @cached_property
    def truth(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Values of all nodes at the points, and the error of each: (n k, *shape)."""
        with torch.no_grad():
            return running_error(self.graph, self.points.flatten(0, 1), torch.float64, ACCURACY)

    @cached_property
    def low(self) -> Tensor:
        """The least value found of every row, as far as it is certain: (n, r), inf where there is none."""
        values, errors = (entries(part[self.graph.output], 1) for part in self.truth)
        flat = entries(self.rows, 1)
        found = (values @ flat.T) + (errors @ flat.T.abs()) + 1e-15 * (values.abs() @ flat.T.abs()) * flat.shape[1]
        return found.reshape(*self.points.shape[:2], -1).nan_to_num(nan=torch.inf).amin(1)

    def given(self, dtype: torch.dtype) -> tuple[Graph, Interval]:
        return self.graph.to(dtype=dtype), Interval(self.box.lower.to(dtype), self.box.upper.to(dtype))


def excluded(s: Subject, bounds: Bounds) -> str:
    """The node whose interval leaves out a value by most, empty if none does."""
    values, errors = s.truth
    worst, where = 0.0, ""
    for name, found in bounds.items():
        value, off = (part[name].reshape(*s.points.shape[:2], *part[name].shape[1:]) for part in (values, errors))
        low, high = found.lower.double().unsqueeze(1), found.upper.double().unsqueeze(1)
        if bool(low.isnan().any() | high.isnan().any()):
            return f"the interval of {name} ({type(s.graph[name].op).__name__}) is no number"
        gap = torch.maximum(low - value, value - high) - off
        gap = float(gap.nan_to_num(nan=-torch.inf).max()) if gap.numel() else 0.0
        if gap > worst:
            worst, where = gap, f"a value of {name} ({type(s.graph[name].op).__name__}) lies {gap:.3g} outside"
    return where


def above(s: Subject, bound: Tensor) -> str:
    """By how much bounds (n, r) of the rows are above values; empty if they are not. A bound that is NaN claims
    nothing (no engine takes it for a number)."""
    gap = float((bound.double() - s.low).nan_to_num(nan=-torch.inf).max())
    return f"a row is {gap:.3g} below its bound" if gap > 0 else ""


def intervals(s: Subject, dtype: torch.dtype) -> str:
    graph, box = s.given(dtype)
    return excluded(s, ibp(graph, box))


def crown_bounds(s: Subject, dtype: torch.dtype) -> str:
    graph, box = s.given(dtype)
    with torch.no_grad():
        found, bounds = crown(graph, box, s.rows.to(dtype).unsqueeze(0), charges=rounding(graph, box))
    return above(s, found) or excluded(s, bounds)


def alpha_bounds(s: Subject, dtype: torch.dtype) -> str:
    graph, box = s.given(dtype)
    found, bounds = alpha_crown(graph, box, s.rows.to(dtype).unsqueeze(0), iterations=3, intermediate=bool(s.seed % 2),
                                charges=rounding(graph, box))
    return above(s, found) or excluded(s, bounds)


METHODS = {"intervals": intervals, "CROWN": crown_bounds, "alpha-CROWN": alpha_bounds}


def wrong(s: Subject, methods=tuple(METHODS), dtypes=DTYPES) -> list[str]:
    """Everything that is wrong with the bounds of a subject."""
    found = []
    for name in methods:
        for dtype in dtypes:
            if what := METHODS[name](s, dtype):
                found.append(f"{name} in {dtype}: {what}")
    return found
