"""Expand (numpy broadcasting both ways) and Tile."""

import numpy as np

from verify.errors import ShapeMismatch
from verify.onnx_import.call import Call, Variable
from verify.onnx_import.registry import importer


@importer("Expand", since=8, accepts="any")
def expand(call: Call) -> Variable:
    x, shape = call.variable(0), call.integers(1, "shape")
    try:
        return call.expand(x, np.broadcast_shapes(x.shape, tuple(shape)))
    except ValueError as error:
        raise ShapeMismatch(f"cannot expand {list(x.shape)} to {shape}") from error


@importer("Tile", since=6, accepts="any")
def tile(call: Call) -> Variable:
    x, repeats = call.variable(0), call.integers(1, "repeats")
    if len(repeats) != x.rank:
        raise ShapeMismatch(f"cannot tile {list(x.shape)} by {repeats}; one number per axis is needed")
    return call.rearrange(x, lambda index: np.tile(index, repeats))
