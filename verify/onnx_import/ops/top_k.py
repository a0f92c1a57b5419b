"""TopK: the k largest (or smallest) entries along an axis in order, and where they were.

Values go through a sorting network of maxima and minima (Batcher's odd-even merge sort: log2(n)^2 / 2 layers, each one
Relu over all its pairs): hi = a + relu(b - a), lo = b - relu(b - a). The positions come from ranks: entry i has rank
#{j : x_j before x_i} from comparisons of all pairs, and position r is sum_i i [rank_i = r].
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from verify.onnx_import import logic
from verify.onnx_import.call import Call, Value, Variable
from verify.onnx_import.lowering import affine
from verify.onnx_import.moves import moved
from verify.onnx_import.ops.arg_max import pairs
from verify.onnx_import.registry import importer
from verify.ops import Add, Concat, Linear, Relu, Transpose


def network(n: int) -> Iterator[list[tuple[int, int]]]:
    """Layers of disjoint pairs (i < j), after which entries are in order (Knuth, volume 3, algorithm 5.2.2 M)."""
    top = 1 << max(0, (n - 1).bit_length() - 1)
    p = top if n > 1 else 0
    while p:
        q, r, d = top, 0, p
        while True:
            yield [(i, i + d) for i in range(n - d) if i & p == r]
            if q == p:
                break
            d, q, r = q - p, q // 2, p
        p //= 2


def _sorted(call: Call, x: Variable, count: int) -> Variable:
    """The first entries of the last axis, sorted, largest first."""
    n = x.shape[-1]
    for layer in network(n):
        high, low = (np.array(side) for side in zip(*layer, strict=True))
        rest = np.setdiff1d(np.arange(n), np.concatenate([high, low]))
        a, b = (call.rearrange(x, lambda index, side=side: index[..., side]) for side in (high, low))
        over = call.add(Relu(), call.add(Add((1, -1)), b, a, roundings=None))
        parts = [call.add(Add(), a, over, roundings=None), call.add(Add((1, -1)), b, over, roundings=None)]
        parts += [call.rearrange(x, lambda index, rest=rest: index[..., rest])] if len(rest) else []
        back = np.argsort(np.concatenate([high, low, rest]))
        x = call.rearrange(call.add(Concat(x.rank - 1), *parts), lambda index, back=back: index[..., back])
    return call.rearrange(x, lambda index: index[..., :count])


def _positions(call: Call, x: Variable, count: int) -> Value:
    n = x.shape[-1]
    if n == 1:
        return call.constant(np.zeros((*x.shape[:-1], count), dtype=np.int64))
    # Of equal entries the first comes first: the later one is before the earlier one only if it is larger.
    later, earlier, wins = pairs(call, x, last=False)
    weight = np.zeros((n, len(later)))
    weight[earlier, range(len(later))], weight[later, range(len(later))] = 1.0, -1.0
    ranks = call.add(Linear(call.tensor(weight), call.tensor(np.arange(n, dtype=np.float64))), wins, roundings=None)
    chosen = logic.indicators(call, ranks, n)
    places = call.add(Transpose((*range(x.rank - 1), x.rank, x.rank - 1)), chosen)
    found = call.add(Linear(call.tensor(np.arange(n, dtype=np.float64)[None])), places, roundings=None)
    return call.rearrange(found, lambda index: index[..., :count, 0])


@importer("TopK", since=10, accepts="number")
def top_k(call: Call) -> tuple[Value, ...]:
    x, count = call.variable(0), call.integers(1, "k")[0]
    if not call.attribute("sorted", 1):
        raise call.refuse("entries in no order; sorted ones would be accepted")
    axis = call.axis(call.attribute("axis", -1), x.rank)
    sign = 1.0 if call.attribute("largest", 1) else -1.0
    last = call.rearrange(x, lambda index: np.moveaxis(index, axis, -1))
    last = affine(call, last, scale=sign, roundings=None) if sign < 0 else last
    values = _sorted(call, last, count)
    found: list[Value] = [affine(call, values, scale=sign, roundings=None) if sign < 0 else values]
    if len(call.outputs) > 1 and call.outputs[1]:
        found.append(_positions(call, last, count))
    return tuple(moved(call, value, lambda array: np.moveaxis(array, -1, axis)) for value in found)
