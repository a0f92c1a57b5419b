"""Operators that change nothing at inference: Identity, Dropout."""

import numpy as np

from verify.onnx_import.call import Call, Value, Variable
from verify.onnx_import.registry import importer


@importer("Identity", accepts="any")
def identity(call: Call) -> Variable:
    return call.variable(0)


@importer("Dropout", since=7)
def dropout(call: Call) -> tuple[Value, ...]:
    """The value and a mask that keeps everything. In training mode (an input since opset 12) it would be random."""
    if call.has(2) and bool(call.known(2, "training mode").reshape(())):
        raise call.refuse("training mode is random; inference mode would be accepted")
    x = call.variable(0)
    return x, call.constant(np.ones(x.shape, dtype=bool if call.opset >= 10 else np.float32))
