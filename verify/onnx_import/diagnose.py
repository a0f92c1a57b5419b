"""Numerically dangerous nodes, given bounds: one line each for `verify info`.

A curve is dangerous where its argument may leave the domain (a division across zero, the logarithm of a negative
number: no bound exists until splits exclude it), where its values are huge (an exponential that overflows), and where
it is steep (a division or a logarithm close to zero): there bounds are loose and float32 executions inexact. Steps
whose jump may be crossed are listed, too: executions near it may fall on either side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from verify.graph import Graph, Node
from verify.ops.curve import Curve
from verify.ops.step import Step
from verify.sets import Interval

HUGE, STEEP = 1e30, 1e6


def dangers(graph: Graph, bounds: Mapping[str, Interval]) -> list[str]:
    """Lines about the curves of the graph; `bounds` encloses the values of all nodes, (n, *shape) by name."""
    return [f"{_name(node)} {line}" for node in graph.nodes if isinstance(node.op, Curve)
            for line in _lines(node, bounds[node.inputs[0]])]


def _name(node: Node) -> str:
    return f"node {node.name!r} ({type(node.op).__name__})"


def _lines(node: Node, pre: Interval) -> Iterator[str]:
    op: Curve = node.op
    outside = ~op.defined(pre)
    if bool(outside.any()):
        yield f"may leave its domain: argument in {_span(pre, outside)} for {_count(outside)}; no bound exists there"
    post, steepness = op.interval(pre), op.steepness(pre)
    huge = ~outside & ~(post.magnitude <= HUGE)
    if bool(huge.any()):
        yield f"may reach {float(post.magnitude[huge].max()):.3g}: argument in {_span(pre, huge)} for {_count(huge)}"
    if isinstance(op, Step):
        jumps = op.evaluate(pre.lower) != op.evaluate(pre.upper)
        if bool(jumps.any()):
            yield f"may jump for {_count(jumps)}: rounding decides about arguments next to a jump"
        return
    steep = ~outside & ~huge & ~(steepness <= STEEP)
    if bool(steep.any()):
        slope = float(steepness[steep].max())
        yield f"is steep: slope {slope:.3g}, argument in {_span(pre, steep)} for {_count(steep)}"


def _span(pre: Interval, mask: Tensor) -> str:
    return f"[{float(pre.lower[mask].min()):.3g}, {float(pre.upper[mask].max()):.3g}]"


def _count(mask: Tensor) -> str:
    """How many entries, in any of the domains."""
    found, total = int(torch.any(mask, 0).sum()), mask[0].numel()
    return f"{found} of {total} entries"
