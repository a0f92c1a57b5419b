"""Gather (along an axis) and GatherElements, with constant, possibly negative indices."""

import numpy as np

from verify.errors import InvalidInput
from verify.onnx_import.call import Call, Variable
from verify.onnx_import.registry import importer


def _indices(call: Call, size: int) -> np.ndarray:
    indices = call.known(1, "index").astype(np.int64)
    if indices.size and not (-size <= indices.min() and indices.max() < size):
        raise InvalidInput(f"{call}: an index lies outside an axis of size {size}")
    return indices % size


@importer("Gather")
def gather(call: Call) -> Variable:
    x = call.variable(0)
    axis = call.axis(call.attribute("axis", 0), x.rank)
    indices = _indices(call, x.shape[axis])
    return call.rearrange(x, lambda index: np.take(index, indices, axis))


@importer("GatherElements")
def gather_elements(call: Call) -> Variable:
    x = call.variable(0)
    axis = call.axis(call.attribute("axis", 0), x.rank)
    indices = _indices(call, x.shape[axis])
    if any(indices.shape[k] > x.shape[k] for k in range(x.rank) if k != axis):
        raise InvalidInput(f"{call}: indices of shape {list(indices.shape)} do not fit {list(x.shape)}")
    cut = tuple(slice(None) if k == axis else slice(indices.shape[k]) for k in range(x.rank))
    return call.rearrange(x, lambda index: np.take_along_axis(index[cut], indices, axis))
