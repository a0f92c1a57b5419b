"""Split: one `Gather` per part; sizes are an attribute before opset 13, or equal parts."""

import numpy as np

from verify.errors import ShapeMismatch
from verify.onnx_import.call import Call, Variable
from verify.onnx_import.registry import importer


def _split(call: Call, sizes: list[int]) -> tuple[Variable, ...]:
    x = call.variable(0)
    axis = call.axis(call.attribute("axis", 0), x.rank)
    if not sizes:
        count = call.attribute("num_outputs", len(call.outputs))
        size = -(-x.shape[axis] // count)
        sizes = [min(size, x.shape[axis] - k * size) for k in range(count)]
    if sum(sizes) != x.shape[axis] or min(sizes) < 0:
        raise ShapeMismatch(f"cannot split axis {axis} of shape {list(x.shape)} into {sizes}")
    ends = np.cumsum(sizes)
    parts = []
    for end, size in zip(ends, sizes, strict=True):
        parts.append(call.rearrange(x, lambda index, e=end, s=size: np.take(index, range(e - s, e), axis)))
    return tuple(parts)


@importer("Split", since=2, accepts="any")
def split_attribute(call: Call) -> tuple[Variable, ...]:
    return _split(call, list(call.attribute("split") or ()))


@importer("Split", since=13, accepts="any")
def split_input(call: Call) -> tuple[Variable, ...]:
    return _split(call, call.integers(1, "split"))
