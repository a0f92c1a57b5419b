"""ReduceSum, ReduceMean, ReduceMax, ReduceMin; axes become an input with opset 13 (sum) or 18 (the others)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from verify.onnx_import.call import Call, Variable
from verify.onnx_import.lowering import affine, largest
from verify.onnx_import.registry import importer
from verify.ops import Sum


def _reduce(call: Call, axes: Sequence[int] | None) -> Variable:
    x = call.variable(0)
    if not axes and call.attribute("noop_with_empty_axes", 0):
        return x
    axes = tuple(sorted({call.axis(a, x.rank) for a in axes})) if axes else tuple(range(x.rank))
    kept = tuple(1 if k in axes else size for k, size in enumerate(x.shape))
    if call.op_type in ("ReduceSum", "ReduceMean"):
        y = call.add(Sum(axes), x)
        if call.op_type == "ReduceMean":
            y = affine(call, y, scale=1 / math.prod(x.shape[k] for k in axes))
    else:
        y = _extreme(call, x, axes, kept)
    if call.attribute("keepdims", 1):
        return y
    return call.reshape(y, tuple(size for k, size in enumerate(x.shape) if k not in axes))


def _extreme(call: Call, x: Variable, axes: tuple[int, ...], kept: tuple[int, ...]) -> Variable:
    """Maximum over the axes, or minimum as -max(-x)."""
    sign = -1.0 if call.op_type == "ReduceMin" else 1.0
    x = affine(call, x, scale=sign, roundings=None) if sign < 0 else x
    index = np.moveaxis(np.arange(x.size).reshape(x.shape), axes, range(len(axes)))
    y = call.reshape(largest(call, x, index.reshape(-1, *index.shape[len(axes):])), kept)
    return affine(call, y, scale=sign, roundings=None) if sign < 0 else y


@importer("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin")
def reduce_attribute(call: Call) -> Variable:
    return _reduce(call, call.attribute("axes"))


@importer("ReduceSum", since=13)
def reduce_sum_input(call: Call) -> Variable:
    return _reduce(call, call.integers(1, "axes"))


@importer("ReduceMean", "ReduceMax", "ReduceMin", since=18)
def reduce_input(call: Call) -> Variable:
    return _reduce(call, call.integers(1, "axes"))
