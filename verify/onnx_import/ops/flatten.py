"""Flatten: to two axes, split before `axis`."""

import math

from verify.onnx_import.call import Call, Variable
from verify.onnx_import.registry import importer


@importer("Flatten", accepts="any")
def flatten(call: Call) -> Variable:
    x, axis = call.variable(0), call.attribute("axis", 1)
    axis = axis if axis == x.rank else call.axis(axis, x.rank)
    return call.reshape(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))
