"""Gelu (Hendrycks and Gimpel 2016): y = x Phi(x), with the error function or its approximation by tanh."""

from verify.onnx_import.call import Call, Variable
from verify.onnx_import.registry import importer
from verify.ops import Gelu, GeluTanh


@importer("Gelu")
def gelu(call: Call) -> Variable:
    return call.add(GeluTanh() if call.text("approximate", "none") == "tanh" else Gelu(), call.variable(0))
