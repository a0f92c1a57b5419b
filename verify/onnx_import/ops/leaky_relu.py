"""LeakyRelu and PRelu with constant slope k: y = k x + (1 - k) relu(x)."""

import numpy as np

from verify.errors import ShapeMismatch
from verify.onnx_import.call import Call, Variable
from verify.onnx_import.lowering import affine
from verify.onnx_import.registry import importer
from verify.ops import Add, Relu


def _leaky(call: Call, x: Variable, slope: np.ndarray) -> Variable:
    # An execution rounds the product k x, and that only where x is negative.
    positive = affine(call, call.add(Relu(), x), scale=1 - slope, roundings=None)
    return call.add(Add(), affine(call, x, scale=slope), positive, roundings=None)


@importer("LeakyRelu")
def leaky_relu(call: Call) -> Variable:
    return _leaky(call, call.variable(0), np.float64(call.attribute("alpha", 0.01)))


@importer("PRelu")
def prelu(call: Call) -> Variable:
    """The slope is broadcast one way, to the shape of x."""
    slope = call.known(1, "slope").astype(np.float64)
    x = call.variable(0)
    if np.broadcast_shapes(x.shape, slope.shape) != x.shape:
        raise ShapeMismatch(f"slopes of shape {list(slope.shape)} do not broadcast to {list(x.shape)}")
    return _leaky(call, x, slope)
