"""Relu: y = max(x, 0). The importer to copy."""

from verify.onnx_import.call import Call, Variable
from verify.onnx_import.registry import importer
from verify.ops import Relu


@importer("Relu")
def relu(call: Call) -> Variable:
    return call.add(Relu(), call.variable(0))
