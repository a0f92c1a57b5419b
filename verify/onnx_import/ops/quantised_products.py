"""Products of quantised values: MatMulInteger, ConvInteger, QLinearMatMul, QLinearConv.

The integer forms are MatMul and Conv of (q - zero point). The linear ones quantise the product again, scaled by
scale_a scale_b / scale_y; sums of integers are exact, so this is what an execution computes.
"""

from __future__ import annotations

import numpy as np

from verify.onnx_import.call import Call, Value
from verify.onnx_import.quantised import centred, element_of, parameters, quantised, shape_at, spread
from verify.onnx_import.registry import importer

WINDOW = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")


def _window(call: Call) -> dict[str, object]:
    return {name: call.attributes[name] for name in WINDOW if name in call.attributes}


def _zero(call: Call, index: int, shape: tuple[int, ...], axis: int) -> np.ndarray:
    return spread(call, call.known(index, "zero point"), shape, axis) if call.has(index) else np.zeros(())


@importer("MatMulInteger", since=10, accepts="any")
def matmul_integer(call: Call) -> Value:
    shapes = [shape_at(call, k) for k in (0, 1)]
    zeros = [_zero(call, 2, shapes[0], len(shapes[0]) - 2), _zero(call, 3, shapes[1], -1)]
    return call.apply("MatMul", *(centred(call, call.value(k), zero) for k, zero in enumerate(zeros)))


@importer("ConvInteger", since=10, accepts="any")
def conv_integer(call: Call) -> Value:
    zeros = [_zero(call, 2 + k, shape_at(call, k), 0) for k in (0, 1)]
    return call.apply("Conv", *(centred(call, call.value(k), zero) for k, zero in enumerate(zeros)), **_window(call))


@importer("QLinearMatMul", since=10, accepts="any")
def qlinear_matmul(call: Call) -> Value:
    shapes = [shape_at(call, k) for k in (0, 3)]
    scale_a, zero_a = parameters(call, 1, shapes[0], len(shapes[0]) - 2)
    scale_b, zero_b = parameters(call, 4, shapes[1], -1)
    product = call.apply("MatMul", centred(call, call.value(0), zero_a), centred(call, call.value(3), zero_b))
    scale, zero = (float(call.known(k, "output scale").reshape(())) for k in (6, 7))
    return _again(call, product, scale_a * scale_b, scale, zero, 7)


@importer("QLinearConv", since=10, accepts="any")
def qlinear_conv(call: Call) -> Value:
    scale_x, zero_x = parameters(call, 1, shape_at(call, 0))
    scale_w, zero_w = parameters(call, 4, shape_at(call, 3))
    bias = (call.constant(call.known(8, "bias").astype(np.float64)),) if call.has(8) else ()
    x, weight = centred(call, call.value(0), zero_x), centred(call, call.value(3), zero_w)
    product = call.apply("Conv", x, weight, *bias, **_window(call))
    # One scale per output channel.
    factor = scale_x * (scale_w.reshape(1, -1, *(1,) * (scale_w.ndim - 2)) if scale_w.ndim else scale_w)
    scale, zero = (float(call.known(k, "output scale").reshape(())) for k in (6, 7))
    return _again(call, product, factor, scale, zero, 7)


def _again(call: Call, product: Value, factor: np.ndarray, scale: float, zero: float, kind: int) -> Value:
    scaled = call.apply("Mul", product, call.constant(factor))
    return quantised(call, scaled, np.float64(scale), np.float64(zero), element_of(call.known(kind, "zero point")))
