"""Softsign: y = x / (1 + |x|) = 1 / (1 + relu(-x)) - 1 / (1 + relu(x)), where each term is monotone."""

from verify.onnx_import.call import Call, Variable
from verify.onnx_import.lowering import affine
from verify.onnx_import.registry import importer
from verify.ops import Add, Reciprocal, Relu


@importer("Softsign")
def softsign(call: Call) -> Variable:
    x = call.variable(0)
    sides = (call.add(Relu(), v) for v in (affine(call, x, scale=-1.0, roundings=None), x))
    return call.add(Add((1, -1)), *(call.add(Reciprocal(), affine(call, side, shift=1.0)) for side in sides))
