"""Swish: y = x sigmoid(alpha x); with alpha < 0 it is the mirror image of the one with -alpha."""

from verify.onnx_import.call import Call, Variable
from verify.onnx_import.lowering import affine
from verify.onnx_import.registry import importer
from verify.ops import Silu


@importer("Swish")
def swish(call: Call) -> Variable:
    x, alpha = call.variable(0), call.attribute("alpha", 1.0)
    if alpha == 0:
        return affine(call, x, scale=0.5)
    if alpha > 0:
        return call.add(Silu(alpha), x)
    return affine(call, call.add(Silu(-alpha), affine(call, x, scale=-1.0)), scale=-1.0)
