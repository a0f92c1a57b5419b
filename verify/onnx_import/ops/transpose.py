"""Transpose: axes permuted, reversed by default."""

from verify.onnx_import.call import Call, Variable
from verify.onnx_import.registry import importer
from verify.ops import Transpose


@importer("Transpose", accepts="any")
def transpose(call: Call) -> Variable:
    x = call.variable(0)
    return call.add(Transpose(tuple(call.attribute("perm") or reversed(range(x.rank)))), x)
