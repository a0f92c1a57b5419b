"""Neg: y = -x."""

from verify.onnx_import.call import Call, Variable
from verify.onnx_import.lowering import affine
from verify.onnx_import.registry import importer


@importer("Neg", accepts="number")
def neg(call: Call) -> Variable:
    return affine(call, call.variable(0), scale=-1.0, roundings=None)
