"""Operators that change nothing at inference: Identity, Dropout."""

from verify.onnx_import.call import Call, Variable
from verify.onnx_import.registry import importer


@importer("Identity", accepts="any")
def identity(call: Call) -> Variable:
    return call.variable(0)


@importer("Dropout", since=7)
def dropout(call: Call) -> Variable:
    """In training mode (an input since opset 12) it would be random."""
    if call.has(2) and bool(call.known(2, "training mode").reshape(())):
        raise call.refuse("training mode is random; inference mode would be accepted")
    return call.variable(0)
