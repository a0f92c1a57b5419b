"""Truth values as numbers of the graph: 1 where a statement holds, 0 where not.

    not a       1 - a
    a and b     relu(a + b - 1)
    a or b      1 - relu(1 - a - b)
    a xor b     a + b - 2 relu(a + b - 1)

Comparisons of integers are piecewise linear between the integers: [a > b] = relu(d) - relu(d - 1) and
[a = b] = relu(1 - |d|), d = a - b. Those of real numbers jump (`Positive`): [d > 0], [d >= 0], [d >= 0 and -d >= 0].
Everything here is exact in any floating-point arithmetic of an execution.
"""

from __future__ import annotations

import numpy as np

from verify.onnx_import import elements
from verify.onnx_import.call import Call, Known, Value, Variable
from verify.onnx_import.lowering import affine, broadcast
from verify.ops import Add, Relu
from verify.ops.step import Positive


def whole(*kinds: int) -> bool:
    """Whether values of these element types are integers."""
    return all(kind not in elements.FLOATS for kind in kinds)


def complement(call: Call, a: Variable) -> Variable:
    return affine(call, a, scale=-1.0, shift=1.0, roundings=None)


def difference(call: Call, a: Value, b: Value) -> Variable:
    """a - b, at least one of them a variable."""
    if isinstance(b, Known):
        return affine(call, a, shift=-call.tensor(b.array, b.name).numpy(), roundings=None)
    if isinstance(a, Known):
        return affine(call, b, scale=-1.0, shift=call.tensor(a.array, a.name).numpy(), roundings=None)
    return call.add(Add((1, -1)), *broadcast(call, a, b), roundings=None)


def greater(call: Call, a: Value, b: Value, integers: bool, or_equal: bool = False) -> Variable:
    """[a > b] or [a >= b]; for integers the latter is 1 - [b > a]."""
    if not integers:
        return call.add(Positive(or_equal), difference(call, a, b))
    if or_equal:
        return complement(call, greater(call, b, a, integers=True))
    d = difference(call, a, b)
    beyond = call.add(Relu(), affine(call, d, shift=-1.0, roundings=None))
    return call.add(Add((1, -1)), call.add(Relu(), d), beyond, roundings=None)


def equal(call: Call, a: Value, b: Value, integers: bool) -> Variable:
    """[a = b]."""
    d = difference(call, a, b)
    if not integers:
        minus = affine(call, d, scale=-1.0, roundings=None)
        return both(call, call.add(Positive(True), d), call.add(Positive(True), minus))
    room = affine(call, size(call, d), scale=-1.0, shift=1.0, roundings=None)
    return call.add(Relu(), room)


def size(call: Call, d: Variable) -> Variable:
    """|d| = relu(d) + relu(-d)."""
    minus = affine(call, d, scale=-1.0, roundings=None)
    return call.add(Add(), call.add(Relu(), d), call.add(Relu(), minus), roundings=None)


def both(call: Call, a: Variable, b: Variable) -> Variable:
    total = call.add(Add(), *broadcast(call, a, b), roundings=None)
    return call.add(Relu(), affine(call, total, shift=-1.0, roundings=None))


def either(call: Call, a: Variable, b: Variable) -> Variable:
    return complement(call, both(call, complement(call, a), complement(call, b)))


def one_of(call: Call, a: Variable, b: Variable) -> Variable:
    twice = affine(call, both(call, a, b), scale=2.0, roundings=None)
    return call.add(Add((1, 1, -1)), *broadcast(call, a, b), twice, roundings=None)


def indicators(call: Call, index: Variable, count: int) -> Variable:
    """[index = k], k = 0 .. count - 1 along a new last axis; negative indices count from the end."""
    wanted = np.arange(count, dtype=np.float64)
    spread = call.reshape(index, (*index.shape, 1))
    found = [equal(call, spread, call.constant(numbers), True) for numbers in (wanted, wanted - count)]
    return call.add(Add(), *found, roundings=None)
