"""QuantizeLinear and DequantizeLinear (`verify.onnx_import.quantised`), per tensor, per axis and in blocks."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from verify.onnx_import.call import Call, Value
from verify.onnx_import.quantised import centred, element_of, quantised, shape_at, spread
from verify.onnx_import.registry import importer


def _parameter(call: Call, index: int, role: str) -> np.ndarray:
    return spread(call, call.known(index, role), shape_at(call, 0), call.attribute("axis", 1),
                  call.attribute("block_size", 0))


@importer("QuantizeLinear", since=10, accepts="number")
def quantize_linear(call: Call) -> Value:
    element = call.attribute("output_dtype", 0) or TensorProto.UINT8
    zero = np.zeros(())
    if call.has(2):
        zero, element = _parameter(call, 2, "zero point"), element_of(call.known(2, "zero point"))
    return quantised(call, call.value(0), _parameter(call, 1, "scale"), zero, element)


@importer("DequantizeLinear", since=10, accepts="any")
def dequantize_linear(call: Call) -> Value:
    zero = _parameter(call, 2, "zero point") if call.has(2) else np.zeros(())
    return call.apply("Mul", centred(call, call.value(0), zero), call.constant(_parameter(call, 1, "scale")))
