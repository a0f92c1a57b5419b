"""Compress: the entries along an axis (of everything, flat, without one) where a constant condition holds."""

import numpy as np

from verify.onnx_import.call import Call, Variable
from verify.onnx_import.registry import importer


@importer("Compress", since=9, accepts="any")
def compress(call: Call) -> Variable:
    condition = call.known(1, "condition").astype(bool)
    axis = call.attribute("axis")
    return call.rearrange(call.variable(0), lambda index: np.compress(condition, index, axis))
