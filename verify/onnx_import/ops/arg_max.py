"""ArgMax, ArgMin and Hardmax: which entry along an axis is the largest, from comparisons of all pairs.

Entry k is the first of the largest when it exceeds all entries before it and reaches all entries after it:

    o_k = relu(sum_(j < k) [x_k > x_j] + sum_(j > k) (1 - [x_j > x_k]) - (n - 2)),    argmax = sum_k k o_k

which is 1 when all n - 1 statements hold and 0 otherwise. The last of the largest (`select_last_index`) takes >= for >.
"""

from __future__ import annotations

import math

import numpy as np
from onnx import helper

from verify.onnx_import import logic
from verify.onnx_import.call import Call, Value, Variable
from verify.onnx_import.lowering import affine
from verify.onnx_import.registry import importer
from verify.ops import Linear, Relu, Transpose

# Comparisons of one node: 1,000 classes have 499,500 of them.
LIMIT = 2**19


def pairs(call: Call, x: Variable, last: bool) -> tuple[np.ndarray, np.ndarray, Variable]:
    """For all pairs j < k along the last axis: k, j and [x_k > x_j] (>= if the last of equal ones is before)."""
    n, index = x.shape[-1], np.arange(x.size).reshape(x.shape)
    later, earlier = np.tril_indices(n, -1)
    if index[..., later].size > LIMIT:
        raise call.refuse(f"its {index[..., later].size} comparisons of pairs are more than {LIMIT}")
    above, below = call.gather(x, index[..., later]), call.gather(x, index[..., earlier])
    return later, earlier, logic.greater(call, above, below, logic.whole(x.element), or_equal=last)


def winners(call: Call, x: Variable, axis: int, last: bool) -> Variable:
    """o along the last axis: (*shape without the axis, n)."""
    n = x.shape[axis]
    later, earlier, wins = pairs(call, call.rearrange(x, lambda index: np.moveaxis(index, axis, -1)), last)
    weight = np.zeros((n, len(later)))
    weight[later, range(len(later))], weight[earlier, range(len(later))] = 1.0, -1.0
    # Every pair that k is the earlier one of counts 1 - [..]; n - 2 statements are one too few.
    bias = np.arange(n)[::-1] - (n - 2.0)
    found = call.add(Linear(call.tensor(weight), call.tensor(bias)), wins, roundings=None)
    return found if n == 2 else call.add(Relu(), found)


def _index(call: Call, sign: float) -> Value:
    x = call.variable(0)
    axis = call.axis(call.attribute("axis", 0), x.rank)
    n = x.shape[axis]
    kept = tuple(1 if k == axis else size for k, size in enumerate(x.shape))
    shape = kept if call.attribute("keepdims", 1) else (*x.shape[:axis], *x.shape[axis + 1 :])
    if n == 1:
        return call.constant(np.zeros(shape, dtype=np.int64))
    x = affine(call, x, scale=sign, roundings=None) if sign < 0 else x
    chosen = winners(call, x, axis, bool(call.attribute("select_last_index", 0)))
    number = call.add(Linear(call.tensor(np.arange(n, dtype=np.float64)[None])), chosen, roundings=None)
    return call.reshape(number, shape)


@importer("ArgMax", accepts="number")
def arg_max(call: Call) -> Value:
    return _index(call, 1.0)


@importer("ArgMin", accepts="number")
def arg_min(call: Call) -> Value:
    return _index(call, -1.0)


def _hardmax(call: Call, x: Variable, axis: int) -> Value:
    if x.shape[axis] == 1:
        return call.constant(np.ones(x.shape, dtype=helper.tensor_dtype_to_np_dtype(x.element)))
    chosen = winners(call, x, axis, last=False)
    order = [*range(axis), x.rank - 1, *range(axis, x.rank - 1)]
    return call.add(Transpose(tuple(order)), chosen)


@importer("Hardmax")
def hardmax_flat(call: Call) -> Value:
    """Everything from the axis on counts as one."""
    x = call.variable(0)
    axis = call.axis(call.attribute("axis", 1), x.rank)
    flat = call.reshape(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))
    found = _hardmax(call, flat, 1)
    return call.reshape(call.as_variable(found), x.shape)


@importer("Hardmax", since=13)
def hardmax(call: Call) -> Value:
    x = call.variable(0)
    return _hardmax(call, x, call.axis(call.attribute("axis", -1), x.rank))
