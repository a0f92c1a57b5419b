"""ThresholdedRelu and Shrink: pieces that are cut out around 0, with jumps [z > 0] at the cuts.

    ThresholdedRelu:  x where x > a                        = relu(x - a) + a [x - a > 0]
    Shrink:           x - b where x > l, x + b where x < -l = s(x) - s(-x),    s(x) = relu(x - l) + (l - b) [x - l > 0]
"""

from __future__ import annotations

from verify.onnx_import.call import Call, Variable
from verify.onnx_import.lowering import affine
from verify.onnx_import.registry import importer
from verify.ops import Add, Positive, Relu


def _right_of(call: Call, x: Variable, cut: float, height: float) -> Variable:
    """x - cut + height where x > cut, else 0."""
    ahead = affine(call, x, shift=-cut)
    slope = call.add(Relu(), ahead)
    return slope if height == 0 else call.add(Add(), slope, affine(call, call.add(Positive(), ahead), scale=height))


@importer("ThresholdedRelu")
def thresholded_relu(call: Call) -> Variable:
    alpha = call.attribute("alpha", 1.0)
    return _right_of(call, call.variable(0), alpha, alpha)


@importer("Shrink")
def shrink(call: Call) -> Variable:
    x, cut, bias = call.variable(0), call.attribute("lambd", 0.5), call.attribute("bias", 0.0)
    if cut < 0:
        raise call.refuse(f"lambd = {cut}, with which its pieces overlap; 0 or more is supported")
    right = _right_of(call, x, cut, cut - bias)
    left = _right_of(call, affine(call, x, scale=-1.0, roundings=None), cut, cut - bias)
    return call.add(Add((1, -1)), right, left)
