"""Trilu: the upper or lower triangle of the last two axes, zeros elsewhere."""

import numpy as np

from verify.onnx_import.call import Call, Variable
from verify.onnx_import.registry import importer


@importer("Trilu", since=14, accepts="any")
def trilu(call: Call) -> Variable:
    shift = call.integers(1, "diagonal")[0] if call.has(1) else 0
    part = np.triu if call.attribute("upper", 1) else np.tril
    # Position 0 stands for the zeros, which the gather fills in for -1.
    return call.rearrange(call.variable(0), lambda index: part(index + 1, shift) - 1)
