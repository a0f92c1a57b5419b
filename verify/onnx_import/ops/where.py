"""Where: a constant condition takes entries, one that depends on the network input mixes them: y = b + c (a - b)."""

from __future__ import annotations

import numpy as np

from verify.onnx_import.call import Call, Known, Value, Variable
from verify.onnx_import.logic import difference
from verify.onnx_import.lowering import affine, broadcast
from verify.onnx_import.moves import assembled, shape_of
from verify.onnx_import.registry import importer
from verify.ops import Add, Product


@importer("Where", since=9, accepts="any")
def where(call: Call) -> Value:
    condition, a, b = (call.value(k) for k in range(3))
    if isinstance(condition, Known):
        return _taken(call, condition.array, a, b)
    return chosen(call, condition, a, b)


def _taken(call: Call, condition: np.ndarray, a: Value, b: Value) -> Variable:
    shape = np.broadcast_shapes(condition.shape, shape_of(a), shape_of(b))
    size = int(np.prod(shape_of(a)))
    first = np.broadcast_to(np.arange(size).reshape(shape_of(a)), shape)
    second = np.broadcast_to(size + np.arange(int(np.prod(shape_of(b)))).reshape(shape_of(b)), shape)
    return assembled(call, (a, b), np.where(condition, first, second))


def chosen(call: Call, condition: Variable, a: Value, b: Value) -> Variable:
    """a where the condition is 1, b where it is 0."""
    if isinstance(a, Known) and isinstance(b, Known):
        high, low = (call.tensor(value.array, value.name).numpy() for value in (a, b))
        return affine(call, condition, high - low, low)
    mixed = call.add(Product(), *broadcast(call, condition, difference(call, a, b)))
    if isinstance(b, Known):
        return affine(call, mixed, shift=call.tensor(b.array, b.name).numpy())
    return call.add(Add(), *broadcast(call, mixed, b))
