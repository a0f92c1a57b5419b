"""Shape and Size: known as soon as shapes are static, whatever the data."""

import numpy as np

from verify.onnx_import.call import Call, Known
from verify.onnx_import.registry import importer


@importer("Shape", accepts="any")
def shape(call: Call) -> Known:
    """`start` and `end` (opset 15) cut the list of sizes like a Python slice."""
    sizes = call.variable(0).shape[call.attribute("start", 0) : call.attribute("end")]
    return Known(call.outputs[0], np.array(sizes, dtype=np.int64))


@importer("Size", accepts="any")
def size(call: Call) -> Known:
    return Known(call.outputs[0], np.array(call.variable(0).size, dtype=np.int64))
