"""Cast and CastLike: exact between numbers; float to integer cuts towards zero, anything to bool asks for "not 0".

What depends on the network input becomes float, double, int32, int64 or bool; 8 and 16 bits would wrap around.
"""

from onnx import TensorProto

from verify.onnx_import import elements, logic
from verify.onnx_import.call import Call, Known, Value, Variable
from verify.onnx_import.registry import importer
from verify.ops import Add, Affine, Relu


@importer("Cast", since=6, accepts="any")
def cast(call: Call) -> Value:
    return _cast(call, call.attribute("to"))


@importer("CastLike", since=15, accepts="any")
def cast_like(call: Call) -> Value:
    return _cast(call, call.element(1))


def _cast(call: Call, to: int) -> Value:
    x, source = call.value(0), call.element(0)
    if isinstance(x, Known):
        return call.apply("Cast", x, to=to)
    if to == TensorProto.BOOL:
        return x if source == TensorProto.BOOL else _nonzero(call, x, source)
    if to in elements.FLOATS:
        # Of double precision and of large integers something is lost; over the reals this is an identity and dropped.
        exact = to == TensorProto.DOUBLE or source in (TensorProto.BOOL, TensorProto.FLOAT)
        return x if exact else call.add(Affine(), x)
    if source == TensorProto.BOOL or (to in elements.INTEGERS and source not in elements.FLOATS):
        return x
    if to in elements.INTEGERS:
        return _truncated(call, x)
    raise call.refuse(
        f"data cannot be cast to {elements.name(to)}; float, double, int32, int64 or bool would be accepted"
    )


def _truncated(call: Call, x: Variable) -> Variable:
    """floor(max(x, 0)) - floor(max(-x, 0))"""
    minus = call.add(Affine(call.tensor(-1.0)), x, roundings=None)
    up, down = (call.apply("Floor", call.add(Relu(), part)) for part in (x, minus))
    return call.add(Add((1, -1)), up, down, roundings=None)


def _nonzero(call: Call, x: Variable, source: int) -> Variable:
    return logic.complement(call, logic.equal(call, x, call.constant(0.0), logic.whole(source)))
