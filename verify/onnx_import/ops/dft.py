"""DFT along one axis: X_k = sum_j exp(-2 pi i j k / n) x_j, real and imaginary parts along the last axis.

    Re X = C Re x + S Im x,  Im X = C Im x - S Re x,    C = cos(2 pi j k / n), S = sin(2 pi j k / n)

The inverse has the other sign and the factor 1 / n. The length is a constant: zeros are appended, or entries dropped.
"""

from __future__ import annotations

import numpy as np

from verify.onnx_import.axes import along_axis
from verify.onnx_import.call import Call, Variable
from verify.onnx_import.registry import importer
from verify.ops import Add, Concat


def _transformed(call: Call, axis: int) -> Variable:
    x = call.variable(0)
    axis = call.axis(axis, x.rank)
    length = call.integers(1, "length")[0] if call.has(1) else x.shape[axis]
    used = min(x.shape[axis], length)
    inverse, onesided = call.attribute("inverse", 0), call.attribute("onesided", 0)
    if inverse and onesided:
        raise call.refuse("the inverse of a one-sided transform; a two-sided one would be accepted")
    rows = length // 2 + 1 if onesided else length
    # j k is reduced first, so that the angle is small.
    angle = 2 * np.pi * (np.outer(np.arange(rows), np.arange(used)) % length) / length
    sine, cosine = (-np.sin(angle) / length, np.cos(angle) / length) if inverse else (np.sin(angle), np.cos(angle))
    parts = [call.rearrange(x, lambda index, k=k: np.take(np.take(index, [k], -1), range(used), axis))
             for k in range(x.shape[-1])]
    real, imaginary = along_axis(call, parts[0], axis, cosine), along_axis(call, parts[0], axis, -sine)
    if len(parts) > 1:
        real = call.add(Add(), real, along_axis(call, parts[1], axis, sine))
        imaginary = call.add(Add(), imaginary, along_axis(call, parts[1], axis, cosine))
    return call.add(Concat(x.rank - 1), real, imaginary)


@importer("DFT", since=17)
def dft_attribute(call: Call) -> Variable:
    return _transformed(call, call.attribute("axis", 1))


@importer("DFT", since=20)
def dft_input(call: Call) -> Variable:
    return _transformed(call, call.integers(2, "axis")[0] if call.has(2) else -2)
