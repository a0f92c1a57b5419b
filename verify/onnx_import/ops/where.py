"""Where with a constant condition m: y = m a + (1 - m) b."""

import numpy as np

from verify.onnx_import.call import Call, Variable
from verify.onnx_import.lowering import affine, broadcast
from verify.onnx_import.registry import importer
from verify.ops import Add


@importer("Where", since=9)
def where(call: Call) -> Variable:
    condition = call.known(0, "condition").astype(np.float64)
    chosen = affine(call, call.variable(1), scale=condition, roundings=None)
    other = affine(call, call.variable(2), scale=1 - condition, roundings=None)
    return call.add(Add(), *broadcast(call, chosen, other), roundings=None)
