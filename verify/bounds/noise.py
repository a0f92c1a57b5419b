"""What the float32 executions of a network may add to its values: the `float32` semantics.

An operator y = W x + b that the file declares may be computed in float32 in any order, with or without FMA, rounding to
nearest, subnormal numbers flushed to zero or not. For inputs of at most m (Higham 2002, section 3.1; underflow: 2.1)

    |fl(y) - y| <= gamma32 (|W| m + |b|) + underflow,    gamma32 = n u / (1 - n u), u = 2^-24,

where n counts the terms of the sum, the roundings that the operator makes besides (`Node.roundings`), and eight spare
ones for constants that a runtime has folded. A product of two values is one such term, with the other factor as its
weight. Sigmoid and tanh may be off by 2^-20, relus and moves are exact; for other curves nothing is declared, and no
claim is made (`undeclared`). The bound holds while nothing overflows; where that may happen, `Float32Overflow` is
raised.

An execution then is the network over the reals with a perturbation of at most `noise` at every node, and so its bounds
are found: intervals are widened, and rows that pass a node with coefficients A lose |A| . noise (`verify.bounds.walk`,
charges).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from verify.errors import Float32Overflow, UnsupportedOperator
from verify.graph import Graph, Node
from verify.ops import Product, SShaped
from verify.sets import Interval, gamma

SMOOTH = 2.0**-20
"""Sigmoid and tanh of an execution are within this of the exact value, by declaration."""

TINY, LIMIT = 2.0**-66, 2.0**50
"""Float32 flushes numbers below 2^-126 to zero and ends at 2^128. The room between is for factors that come last in an
execution but are part of our weights: 2^40 for what was folded (`verify.onnx_import.simplify`), 2^20 for the operator's
own (a Gemm's alpha, a variance; the importers see to it), and above for means, which add before they divide."""


def noise(node: Node, inputs: list[Interval]) -> Tensor | None:
    """Bounds |value of an execution - exact value| for inputs in these intervals: (n, *output shape), or None where
    nothing rounds. Raises `Float32Overflow` where a sum may reach 2^50."""
    if node.roundings is None:
        return None
    magnitudes = [interval.magnitude for interval in inputs]
    if isinstance(node.op, SShaped):
        # What multiplies it is a sum over the node's entries, rounded in the dtype of the bounds.
        return torch.full_like(magnitudes[0], SMOOTH * (1 + 2 * gamma(math.prod(node.shape), magnitudes[0].dtype)))
    if isinstance(node.op, Product):
        return _product_noise(node, *magnitudes)
    if not node.op.linear:
        raise UnsupportedOperator(f"node {node.name!r}: nothing is declared about the accuracy of "
                                  f"{type(node.op).__name__} in float32; semantics real would be accepted")
    terms = node.op.forward_terms(*(tuple(m.shape[1:]) for m in magnitudes)) + node.roundings
    unit = gamma(terms, torch.float32)
    # An input or a weight that is flushed to zero loses at most TINY: in |W| m as if the inputs were that much larger,
    # and TINY m for the weights.
    total = node.op.spread(*(m + TINY / unit for m in magnitudes))
    offset = node.op.offset_magnitude()
    total = total if offset is None else total + offset
    if not bool((total < LIMIT).all()):
        raise Float32Overflow(f"node {node.name!r}: its sums reach {float(total.max()):.3g}, where float32 executions "
                              "may overflow; no claim about them is made")
    largest = max((float(m.max()) for m in magnitudes if m.numel()), default=0.0)
    found = unit * total + TINY * (2 * terms + 4 + terms * largest)
    found = found if node.op.silent is None else found.masked_fill(node.op.silent, 0)  # 0 times finite numbers is 0
    # What multiplies it is a sum over the node's entries, rounded in the dtype of the bounds.
    return found * (1 + 2 * gamma(math.prod(node.shape), found.dtype))


def _product_noise(node: Node, a: Tensor, b: Tensor) -> Tensor:
    """gamma32 |x1| |x2|, and what is lost where a factor or the product is flushed to zero."""
    total = a * b
    if not bool((total < LIMIT).all()):
        raise Float32Overflow(f"node {node.name!r}: its products reach {float(total.max()):.3g}, where float32 "
                              "executions may overflow; no claim about them is made")
    found = gamma(1 + node.roundings, torch.float32) * total + TINY * (4 + a + b)
    return found * (1 + 2 * gamma(math.prod(node.shape), found.dtype))


def undeclared(graph: Graph) -> tuple[Node, ...]:
    """The nodes that no claim about float32 executions can be made about."""
    return tuple(node for node in graph.nodes if node.roundings is not None and not node.op.linear
                 and not isinstance(node.op, (SShaped, Product)))


def widened(interval: Interval, by: Tensor) -> Interval:
    """The interval and everything within `by` of it, rounded outward."""
    eps = 2 * torch.finfo(by.dtype).eps
    return Interval(interval.lower - by - eps * (interval.lower.abs() + by),
                    interval.upper + by + eps * (interval.upper.abs() + by))
