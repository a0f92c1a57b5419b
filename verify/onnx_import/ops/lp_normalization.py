"""LpNormalization: y = x / |x|_p along an axis, p = 1 or 2: at most 1. No bound where all entries may be 0."""

from verify.onnx_import.call import Call, Variable
from verify.onnx_import.logic import size
from verify.onnx_import.lowering import times, within
from verify.onnx_import.ops.layer_normalization import OUTWARD
from verify.onnx_import.registry import importer
from verify.ops import Power, Reciprocal, Sum


@importer("LpNormalization")
def lp_normalization(call: Call) -> Variable:
    x, p = call.variable(0), call.attribute("p", 2)
    axis = call.axis(call.attribute("axis", -1), x.rank)
    if p not in (1, 2):
        raise call.refuse(f"p = {p}; 1 and 2 are supported")
    total = call.add(Sum((axis,)), size(call, x) if p == 1 else times(call, x, x))
    y = times(call, x, call.add(Reciprocal() if p == 1 else Power(-0.5), total))
    return within(call, y, -OUTWARD, OUTWARD)
