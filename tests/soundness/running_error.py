"""How far a floating-point evaluation of a graph may be from the exact values at a point.

Running error analysis (Wilkinson 1965; Higham 2002, section 3.3) over the graph of primitives: with e the error of what
a node reads, e_v = |W| e + gamma_n (|W| (|u| + e) + |b|) at linear nodes, in any order of summation, with or without
FMA; moves pass e on; a curve or a product adds its accuracy to what its image of [u - e, u + e] says, so that an
argument next to a jump counts for both of its sides. Infinite where nothing is known: at the end of a domain, say.
"""

from __future__ import annotations

import torch
from torch import Tensor

from verify.graph import Graph
from verify.ops import Input, Product, Relu
from verify.sets import Interval

CPU = torch.device("cpu")


def running_error(graph: Graph, x: Tensor, dtype: torch.dtype, accuracy: float) -> tuple[dict[str, Tensor],
                                                                                         dict[str, Tensor]]:
    """Values (n, *shape) of all nodes in float64, and how far an evaluation in `dtype` may be from the exact ones at x
    (n, *input shape) of that dtype. `accuracy`: of curves, relative to values, absolute below 1."""
    values: dict[str, Tensor] = {}
    errors: dict[str, Tensor] = {}
    for node in graph.nodes:
        if isinstance(node.op, Input):
            values[node.name], errors[node.name] = x, torch.zeros_like(x)
            continue
        read, off = [values[i] for i in node.inputs], [errors[i] for i in node.inputs]
        value = values[node.name] = node.op.evaluate(*read).expand(x.shape[0], *node.shape)
        if isinstance(node.op, Relu):
            errors[node.name] = off[0]
        elif not node.op.linear:
            own = accuracy if not isinstance(node.op, Product) else torch.finfo(dtype).eps
            image = node.op.interval(*(Interval(u - e, u + e) for u, e in zip(read, off, strict=True)))
            spread = torch.maximum(image.upper - value, value - image.lower)
            errors[node.name] = spread + own * value.abs().clamp(min=1 if own == accuracy else 0)
        elif getattr(node.op, "moves_only", False):
            errors[node.name] = node.op.spread(*off) if off else torch.zeros_like(value)
        else:
            reach = [(v.abs() + e).to(dtype) for v, e in zip(read, off, strict=True)]
            own = node.op.to(CPU, dtype).rounding(*reach).double()
            errors[node.name] = (node.op.spread(*off) + own) if off else own
        errors[node.name] = errors[node.name].nan_to_num(nan=torch.inf).expand_as(value)
    return values, errors
