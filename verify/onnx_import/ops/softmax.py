"""Softmax and LogSoftmax over the entries of one axis, from differences of entries:

    p_i = 1 / (1 + sum_(j != i) exp(x_j - x_i)),    log p_i = -log(1 + sum_(j != i) exp(x_j - x_i))

which are algebraically exact, with differences that are linear in x and sums that are at least 1, so that nothing can
divide by 0. Two entries are a sigmoid (Wei et al. 2023, "Convex Bounds on the Softmax Function", compares the forms).
With more than `PAIRWISE` entries the differences are those to the first entry only:

    p_i = exp(x_i - x_0) / (1 + sum_(j != 0) exp(x_j - x_0))

Before opset 13 all axes from `axis` on are one.
"""

from __future__ import annotations

import math

import numpy as np

from verify.onnx_import.call import Call, Variable
from verify.onnx_import.lowering import affine, within
from verify.onnx_import.registry import importer
from verify.ops import Add, Concat, Exp, Log, Product, Reciprocal, Sigmoid, Softplus, Sum

PAIRWISE = 64


@importer("Softmax", "LogSoftmax")
def softmax_flattened(call: Call) -> Variable:
    x = call.variable(0)
    axis = call.axis(call.attribute("axis", 1), x.rank) if x.rank else 0
    flat = call.reshape(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))
    return call.reshape(_softmax(call, flat, 1), x.shape)


@importer("Softmax", "LogSoftmax", since=13)
def softmax_axis(call: Call) -> Variable:
    x = call.variable(0)
    return _softmax(call, x, call.axis(call.attribute("axis", -1), x.rank))


def _softmax(call: Call, x: Variable, axis: int) -> Variable:
    entries = np.moveaxis(np.arange(x.size).reshape(x.shape), axis, -1)
    logarithm = call.op_type == "LogSoftmax"
    if entries.shape[-1] == 1:
        return affine(call, x, scale=0.0, shift=0.0 if logarithm else 1.0, roundings=None)
    found = (_pairwise if entries.shape[-1] <= PAIRWISE else _from_first)(call, x, entries, logarithm)
    return call.rearrange(found, lambda index: np.moveaxis(index, -1, axis))


def _pairwise(call: Call, x: Variable, entries: np.ndarray, logarithm: bool) -> Variable:
    """(..., k): the values for flat indices `entries` (..., k)."""
    k = entries.shape[-1]
    others = np.array([[j for j in range(k) if j != i] for i in range(k)])
    own = np.broadcast_to(entries[..., None], (*entries.shape, k - 1))
    if k == 2:
        lead = call.add(Add((1, -1)), call.gather(x, own[..., 0]), call.gather(x, entries[..., ::-1]))
        if not logarithm:
            return call.add(Sigmoid(), lead)
        return affine(call, call.add(Softplus(), affine(call, lead, scale=-1.0)), scale=-1.0)
    behind = call.add(Add((1, -1)), call.gather(x, entries[..., others]), call.gather(x, own))
    return call.reshape(_share(call, _mass(call, call.add(Exp(), behind)), logarithm), entries.shape)


def _from_first(call: Call, x: Variable, entries: np.ndarray, logarithm: bool) -> Variable:
    """The same; the first entry's own difference, 0, is left out."""
    rest = entries[..., 1:]
    ahead = call.add(Add((1, -1)), call.gather(x, rest), call.gather(x, np.broadcast_to(entries[..., :1], rest.shape)))
    weights = call.add(Exp(), ahead)
    first = _share(call, _mass(call, weights), logarithm)
    spread = call.expand(first, rest.shape)
    if logarithm:
        others = call.add(Add(), ahead, spread)
    else:
        others = within(call, call.add(Product(), weights, spread), 0.0, 1.0)
    return call.add(Concat(entries.ndim - 1), first, others)


def _mass(call: Call, weights: Variable) -> Variable:
    """1 + the sum over the last axis, which stays."""
    return affine(call, call.add(Sum((weights.rank - 1,)), weights), shift=1.0)


def _share(call: Call, mass: Variable, logarithm: bool) -> Variable:
    """1 / mass or its logarithm."""
    return affine(call, call.add(Log(), mass), scale=-1.0) if logarithm else call.add(Reciprocal(), mass)
