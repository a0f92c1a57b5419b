"""Reductions over axes; the axes become an input with opset 13 (ReduceSum) or 18 (the others).

    ReduceSum, ReduceMean             a `Sum`, scaled
    ReduceMax, ReduceMin              trees of maxima
    ReduceProd                        a balanced tree of products
    ReduceL1, ReduceL2                sum |x|, sqrt(sum x^2)
    ReduceSumSquare                   sum x^2
    ReduceLogSum, ReduceLogSumExp     log(sum x), x_0 + log(sum exp(x - x_0)), x_0 the first entry: no exp(x) overflows
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from verify.onnx_import.call import Call, Variable
from verify.onnx_import.lowering import affine, largest
from verify.onnx_import.registry import importer
from verify.ops import Add, Product, Sum

Axes = tuple[int, ...]


def _reduce(call: Call, axes: Sequence[int] | None) -> Variable:
    x = call.variable(0)
    if not axes and call.attribute("noop_with_empty_axes", 0):
        axes = ()
        if call.op_type in PLAIN:
            return x
    else:
        axes = tuple(sorted({call.axis(a, x.rank) for a in axes})) if axes else tuple(range(x.rank))
    y = RULES[call.op_type](call, x, axes)
    if call.attribute("keepdims", 1):
        return y
    return call.reshape(y, tuple(size for k, size in enumerate(x.shape) if k not in axes))


def _sum(call: Call, x: Variable, axes: Axes) -> Variable:
    return call.add(Sum(axes), x)


def _mean(call: Call, x: Variable, axes: Axes) -> Variable:
    return affine(call, _sum(call, x, axes), scale=1 / math.prod(x.shape[k] for k in axes))


def _stacked(x: Variable, axes: Axes) -> np.ndarray:
    """Flat indices of x with the reduced entries first: (count, *kept shape), reduced axes of size 1."""
    index = np.moveaxis(np.arange(x.size).reshape(x.shape), axes, range(len(axes)))
    kept = tuple(1 if k in axes else size for k, size in enumerate(x.shape))
    return index.reshape(-1, *kept)


def _largest(call: Call, x: Variable, axes: Axes) -> Variable:
    return largest(call, x, _stacked(x, axes))


def _smallest(call: Call, x: Variable, axes: Axes) -> Variable:
    return affine(call, _largest(call, affine(call, x, scale=-1.0, roundings=None), axes), scale=-1.0, roundings=None)


def _product(call: Call, x: Variable, axes: Axes) -> Variable:
    factors = [call.gather(x, index) for index in _stacked(x, axes)]
    while len(factors) > 1:
        pairs = [call.add(Product(), a, b) for a, b in zip(factors[::2], factors[1::2], strict=False)]
        factors = [*pairs, *factors[2 * len(pairs) :]]
    return factors[0]


def _absolute(call: Call, x: Variable, axes: Axes) -> Variable:
    return _sum(call, call.apply("Abs", x), axes)


def _squares(call: Call, x: Variable, axes: Axes) -> Variable:
    return _sum(call, call.apply("Mul", x, x), axes)


def _length(call: Call, x: Variable, axes: Axes) -> Variable:
    return call.apply("Sqrt", _squares(call, x, axes))


def _log(call: Call, x: Variable, axes: Axes) -> Variable:
    return call.apply("Log", _sum(call, x, axes))


def _log_exp(call: Call, x: Variable, axes: Axes) -> Variable:
    first = call.gather(x, _stacked(x, axes)[0])
    apart = call.add(Add((1, -1)), x, call.expand(first, x.shape))
    return call.add(Add(), first, _log(call, call.apply("Exp", apart), axes))


RULES: Mapping[str, Callable[[Call, Variable, Axes], Variable]] = MappingProxyType({
    "ReduceSum": _sum, "ReduceMean": _mean, "ReduceMax": _largest, "ReduceMin": _smallest, "ReduceProd": _product,
    "ReduceL1": _absolute, "ReduceL2": _length, "ReduceSumSquare": _squares, "ReduceLogSum": _log,
    "ReduceLogSumExp": _log_exp,
})
PLAIN = ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd")
"""What leaves a single entry as it is."""


@importer("ReduceMax", "ReduceMin", accepts="any")
@importer("ReduceSum", "ReduceProd", "ReduceL1", "ReduceSumSquare", accepts="number")
@importer("ReduceMean", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp")
def reduce_attribute(call: Call) -> Variable:
    return _reduce(call, call.attribute("axes"))


@importer("ReduceSum", since=13, accepts="number")
@importer("ReduceMax", "ReduceMin", since=18, accepts="any")
@importer("ReduceProd", "ReduceL1", "ReduceSumSquare", since=18, accepts="number")
@importer("ReduceMean", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", since=18)
def reduce_input(call: Call) -> Variable:
    return _reduce(call, call.integers(1, "axes"))
