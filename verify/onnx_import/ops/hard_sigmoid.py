"""HardSigmoid: y = clip(alpha x + beta, 0, 1)."""

from verify.onnx_import.call import Call, Variable
from verify.onnx_import.lowering import affine
from verify.onnx_import.ops.clip import clip
from verify.onnx_import.registry import importer


@importer("HardSigmoid")
def hard_sigmoid(call: Call) -> Variable:
    line = affine(call, call.variable(0), scale=call.attribute("alpha", 0.2), shift=call.attribute("beta", 0.5))
    return clip(call, line, 0.0, 1.0)
