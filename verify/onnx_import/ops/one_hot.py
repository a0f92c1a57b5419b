"""OneHot: off + (on - off) [index = k] along a new axis; indices that depend on the network input are compared."""

from __future__ import annotations

import numpy as np

from verify.onnx_import import logic
from verify.onnx_import.call import Call, Variable
from verify.onnx_import.lowering import affine
from verify.onnx_import.registry import importer
from verify.ops import Transpose


@importer("OneHot", since=9, accepts="any")
def one_hot(call: Call) -> Variable:
    depth = call.integers(1, "depth")[0]
    index, values = call.value(0), call.value(2)
    rank = (index.rank if isinstance(index, Variable) else index.array.ndim) + 1
    axis = call.axis(call.attribute("axis", -1), rank)
    if not isinstance(index, Variable):
        hit = (index.array % depth)[..., None] == np.arange(depth)
        hit &= ((index.array >= -depth) & (index.array < depth))[..., None]
        return call.rearrange(values, lambda pair: pair[np.moveaxis(hit, -1, axis).astype(np.int64)])
    if not logic.whole(index.element):
        raise call.refuse("its indices are floats that depend on the network input; integers would be accepted")
    off, on = (float(value) for value in call.known(2, "values"))
    found = logic.indicators(call, index, depth)
    if axis != rank - 1:
        found = call.add(Transpose((*range(axis), rank - 1, *range(axis, rank - 1))), found)
    return affine(call, found, on - off, off, roundings=None)
