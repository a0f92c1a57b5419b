"""Gather, GatherElements and GatherND. Constant indices, possibly negative, move entries; indices of Gather that depend
on the network input become y = sum_k [index = k] x_k.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from onnx import TensorProto

from verify.errors import InvalidInput
from verify.onnx_import.call import Call, Known, Value, Variable
from verify.onnx_import.logic import indicators
from verify.onnx_import.moves import moved, reshaped, shape_of
from verify.onnx_import.registry import importer


def _indices(call: Call, size: int) -> np.ndarray:
    indices = call.known(1, "index").astype(np.int64)
    if indices.size and not (-size <= indices.min() and indices.max() < size):
        raise InvalidInput(f"{call}: an index lies outside an axis of size {size}")
    return indices % size


@importer("Gather", accepts="any")
def gather(call: Call) -> Value:
    data, index = call.value(0), call.value(1)
    axis = call.axis(call.attribute("axis", 0), len(shape_of(data)))
    if isinstance(index, Variable):
        return _selected(call, data, index, axis)
    indices = _indices(call, shape_of(data)[axis])
    return call.rearrange(data, lambda flat: np.take(flat, indices, axis))


def _selected(call: Call, data: Value, index: Variable, axis: int) -> Variable:
    """Rows of indicators times the data, which has the axis first for that."""
    shape = shape_of(data)
    count, rest = shape[axis], (*shape[:axis], *shape[axis + 1 :])
    table = reshaped(call, moved(call, data, lambda array: np.moveaxis(array, axis, 0)), (count, -1))
    rows = call.reshape(indicators(call, index, count), (index.size, count))
    found = call.reshape(call.apply("MatMul", _real(rows), _real(table)), (*index.shape, *rest))
    order = [*range(index.rank, index.rank + axis), *range(index.rank), *range(index.rank + axis, found.rank)]
    return call.rearrange(found, lambda flat: flat.transpose(order))


def _real(value: Value) -> Value:
    """Integers and truth values as the numbers that they are."""
    if isinstance(value, Known):
        return value if value.array.dtype.kind == "f" else Known(value.name, value.array.astype(np.float64))
    return replace(value, element=TensorProto.FLOAT)


@importer("GatherElements", since=11, accepts="any")
def gather_elements(call: Call) -> Variable:
    x = call.variable(0)
    axis = call.axis(call.attribute("axis", 0), x.rank)
    indices = _indices(call, x.shape[axis])
    if any(indices.shape[k] > x.shape[k] for k in range(x.rank) if k != axis):
        raise InvalidInput(f"{call}: indices of shape {list(indices.shape)} do not fit {list(x.shape)}")
    cut = tuple(slice(None) if k == axis else slice(indices.shape[k]) for k in range(x.rank))
    return call.rearrange(x, lambda index: np.take_along_axis(index[cut], indices, axis))


@importer("GatherND", since=11, accepts="any")
def gather_nd(call: Call) -> Variable:
    """Each row of the indices names an entry, or a block of entries, behind `batch_dims` shared axes."""
    x, batch = call.variable(0), call.attribute("batch_dims", 0)
    rows = call.known(1, "indices").astype(np.int64)
    depth = rows.shape[-1]
    sizes = np.array(x.shape[batch : batch + depth])
    if rows.shape[:batch] != x.shape[:batch] or len(sizes) < depth or (rows < -sizes).any() or (rows >= sizes).any():
        raise InvalidInput(f"{call}: its indices lie outside of {list(x.shape)}")
    lead = np.ogrid[tuple(slice(size) for size in x.shape[:batch])] if batch else []
    grow = (..., *(None for _ in range(rows.ndim - 1 - batch)))
    return call.rearrange(x, lambda index: index[(*(axis[grow] for axis in lead), *np.moveaxis(rows % sizes, -1, 0))])
