"""Quantised values: x = (q - zero point) scale, in integers of a few bits.

    quantise      q = clip(round(x / scale) + zero point, lowest, highest), ties to the even integer
    dequantise    x = (q - zero point) scale

Scales and zero points are constants: one, one per entry of an axis, or one per block of entries along it. Quantised
values are kept as the integers that they are: operators on them are the plain ones on (q - zero point).
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from onnx import TensorProto, helper

from verify.errors import InvalidInput
from verify.onnx_import import elements
from verify.onnx_import.call import Call, Known, Value
from verify.onnx_import.moves import shape_of

LIMITS = MappingProxyType({
    TensorProto.INT8: (-128, 127), TensorProto.UINT8: (0, 255), TensorProto.INT16: (-(2**15), 2**15 - 1),
    TensorProto.UINT16: (0, 2**16 - 1), TensorProto.INT4: (-8, 7), TensorProto.UINT4: (0, 15),
})


def spread(call: Call, parameter: np.ndarray, shape: tuple[int, ...], axis: int, block: int = 0) -> np.ndarray:
    """Scales or zero points in float64, so that they broadcast against `shape`."""
    values = np.array(parameter, dtype=np.float64)
    if values.size == 1:
        return values.reshape(())
    axis = call.axis(axis, len(shape))
    if block:
        values = np.repeat(values, block, axis)
        return values[tuple(slice(size) for size in shape)]
    if values.shape != (shape[axis],):
        raise InvalidInput(f"{call}: {values.shape} scales do not fit axis {axis} of shape {list(shape)}")
    return values.reshape([-1 if k == axis else 1 for k in range(len(shape))])


def centred(call: Call, q: Value, zero: np.ndarray) -> Value:
    """q - zero point, exactly, as a float."""
    if isinstance(q, Known):
        return call.constant(q.array.astype(np.float64) - zero)
    return call.apply("Sub", call.apply("Cast", q, to=TensorProto.FLOAT), call.constant(zero))


def quantised(call: Call, x: Value, scale: np.ndarray, zero: np.ndarray, element: int) -> Value:
    """The integers of x, as floats: whoever returns them gives them their type."""
    if element not in LIMITS:
        raise call.refuse(f"it quantises to {elements.name(element)}; integers of 4, 8 and 16 bits would be accepted")
    low, high = LIMITS[element]
    steps = call.apply("Round", call.apply("Div", x, call.constant(scale)))
    shifted = call.apply("Add", steps, call.constant(zero)) if zero.any() else steps
    return call.apply("Clip", shifted, call.constant(np.float64(low)), call.constant(np.float64(high)))


def parameters(call: Call, first: int, shape: tuple[int, ...], axis: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scale and zero point in inputs `first` and `first + 1`."""
    scale = spread(call, call.known(first, "scale"), shape, axis)
    return scale, spread(call, call.known(first + 1, "zero point"), shape, axis)


def shape_at(call: Call, index: int) -> tuple[int, ...]:
    return shape_of(call.value(index))


def element_of(array: np.ndarray) -> int:
    return helper.np_dtype_to_tensor_dtype(array.dtype)
