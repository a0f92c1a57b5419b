"""Operators that change nothing at inference: Identity, Dropout, Cast between float types."""

from onnx import TensorProto

from verify.onnx_import.call import Call, Variable
from verify.onnx_import.registry import importer
from verify.ops import Affine


@importer("Identity")
def identity(call: Call) -> Variable:
    return call.variable(0)


@importer("Dropout", since=7)
def dropout(call: Call) -> Variable:
    """In training mode (an input since opset 12) it would be random."""
    if call.has(2) and bool(call.known(2, "training mode").reshape(())):
        raise call.refuse("training mode is random; inference mode would be accepted")
    return call.variable(0)


@importer("Cast")
def cast(call: Call) -> Variable:
    if call.attribute("to") not in (TensorProto.FLOAT, TensorProto.DOUBLE):
        raise call.refuse("data may be cast to float or double only")
    if call.attribute("to") == TensorProto.DOUBLE:
        return call.variable(0)
    # What was computed in double precision is rounded here; over the reals this is an identity and is dropped.
    return call.add(Affine(), call.variable(0))
