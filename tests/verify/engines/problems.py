"""Tiny networks whose extreme values are known by hand, as problems with files behind them, and broken queries."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import torch
from torch import nn

from verify.onnx_import.module import from_module
from verify.pipeline import Problem
from verify.properties import linear
from verify.query import Case, Spec


def net(*layers: tuple[list, list]) -> nn.Module:
    """Linear layers (weight, bias) with ReLUs in between."""
    parts: list[nn.Module] = []
    for weight, bias in layers:
        w = torch.tensor(weight, dtype=torch.float32)
        part = nn.Linear(w.shape[1], w.shape[0])
        with torch.no_grad():
            part.weight.copy_(w)
            part.bias.copy_(torch.tensor(bias, dtype=torch.float32))
        parts += [part, nn.ReLU()]
    return nn.Sequential(*parts[:-1])


@cache
def networks():
    """name -> (network, lower, upper, largest output): |x1| + |x2|; the hat of peak 1 at 1; relu(relu(x2 - x1) + x1),
    the larger of x1, x2 and 0."""
    modules = {
        "abs": (net(([[1, 0], [-1, 0], [0, 1], [0, -1]], [0, 0, 0, 0]), ([[1, 1, 1, 1]], [0])), [-1, -1], [1, 1], 2),
        "hat": (net(([[1], [1], [1]], [0, -1, -2]), ([[1, -2, 1]], [0])), [0], [2], 1),
        "max": (net(([[-1, 1], [1, 0], [-1, 0]], [0, 0, 0]), ([[1, 1, -1]], [0]), ([[1]], [0])), [-3, -2], [1, 2], 2),
    }
    return {name: (from_module(m, torch.zeros(1, len(low))), low, high, peak)
            for name, (m, low, high, peak) in modules.items()}


def problem(name: str, above_peak: float) -> Problem:
    """The property "the output stays below its largest value + `above_peak`" (unsafe: it reaches that)."""
    network, low, high, peak = networks()[name]
    return Problem(network, linear(low, high, [[-1.0]], [peak + above_peak]))


def several(name: str, above_peaks: list[float]) -> Problem:
    """The same with one input box (case) per entry."""
    network, low, _, _ = networks()[name]
    cases = tuple(problem(name, a).spec.cases[0] for a in above_peaks)
    return Problem(network, Spec(len(low), 1, cases))


def query(name: str, above_peak: float, dtype=torch.float64):
    asked = problem(name, above_peak)
    return asked.query(asked.spec.cases[0], dtype=dtype)


def broken(how: str):
    """A query whose property "holds by far" but for one broken thing."""
    q = query("abs", 1000.0)
    if how == "huge box":
        box = q.case.box
        wide = np.full(2, 1e308)
        box = replace(box, lower=-wide, upper=wide, inner_lower=-wide, inner_upper=wide)
        return replace(q, box=box, case=Case(box, q.case.disjuncts))
    value = {"nan weight": float("nan"), "inf weight": float("inf"), "huge weight": 1e307}[how]
    nodes = list(q.graph.nodes)
    k = next(i for i, node in enumerate(nodes) if getattr(node.op, "weight", None) is not None)
    weight = nodes[k].op.weight.clone()
    weight[0, 0] = value
    nodes[k] = replace(nodes[k], op=replace(nodes[k].op, weight=weight))
    return replace(q, graph=replace(q.graph, nodes=tuple(nodes)), replay=lambda x: None)
