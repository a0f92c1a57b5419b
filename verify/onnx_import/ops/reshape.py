"""Reshape: 0 copies a size (unless `allowzero`), one -1 is inferred."""

import math

from verify.errors import ShapeMismatch
from verify.onnx_import.call import Call, Variable
from verify.onnx_import.registry import importer


@importer("Reshape", since=5, accepts="any")
def reshape(call: Call) -> Variable:
    x, shape = call.variable(0), call.integers(1, "shape")
    if not call.attribute("allowzero", 0):
        shape = [x.shape[k] if size == 0 and k < x.rank else size for k, size in enumerate(shape)]
    if shape.count(-1) == 1:
        rest = math.prod(size for size in shape if size != -1)
        shape = [x.size // rest if size == -1 and rest else size for size in shape]
    if math.prod(shape) != x.size or any(size < 0 for size in shape):
        raise ShapeMismatch(f"cannot reshape {list(x.shape)} to {shape}")
    return call.reshape(x, tuple(shape))
