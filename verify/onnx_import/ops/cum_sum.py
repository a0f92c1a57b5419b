"""CumSum: sums up to each entry (without it if `exclusive`, from the end if `reverse`): triangular rows."""

import numpy as np

from verify.onnx_import.axes import along_axis
from verify.onnx_import.call import Call, Variable
from verify.onnx_import.registry import importer


@importer("CumSum", since=11, accepts="number")
def cum_sum(call: Call) -> Variable:
    x = call.variable(0)
    axis = call.axis(call.integers(1, "axis")[0], x.rank)
    rows = np.tril(np.ones((x.shape[axis],) * 2), -1 if call.attribute("exclusive", 0) else 0)
    return along_axis(call, x, axis, rows.T if call.attribute("reverse", 0) else rows)
