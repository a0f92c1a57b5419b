"""Abs: y = relu(x) + relu(-x)."""

from verify.onnx_import.call import Call, Variable
from verify.onnx_import.lowering import affine
from verify.onnx_import.registry import importer
from verify.ops import Add, Relu


@importer("Abs", accepts="number")
def abs_(call: Call) -> Variable:
    x = call.variable(0)
    minus = affine(call, x, scale=-1.0, roundings=None)
    return call.add(Add(), call.add(Relu(), x), call.add(Relu(), minus), roundings=None)
