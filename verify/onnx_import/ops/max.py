"""Max and Min of any number of values: max(a, b) = a + relu(b - a), min(a, b) = a - relu(a - b)."""

from verify.onnx_import.call import Call, Value, Variable
from verify.onnx_import.lowering import affine, broadcast, maximum, minimum
from verify.onnx_import.ops.clip import clip
from verify.onnx_import.registry import importer
from verify.ops import Relu


def _limit(value: Value | None) -> float | None:
    """The number that a known value of one entry holds."""
    return None if isinstance(value, Variable) or value.array.size != 1 else float(value.array.reshape(()))


@importer("Max", accepts="number")
def max_(call: Call) -> Variable:
    best = call.value(0)
    for k in range(1, len(call.inputs)):
        best = _pair(call, best, call.value(k), smaller=False)
    return call.as_variable(best)


@importer("Min", accepts="number")
def min_(call: Call) -> Variable:
    best = call.value(0)
    for k in range(1, len(call.inputs)):
        best = _pair(call, best, call.value(k), smaller=True)
    return call.as_variable(best)


def _pair(call: Call, a: Value, b: Value, smaller: bool) -> Variable:
    if not isinstance(a, Variable):
        a, b = b, a
    if not isinstance(a, Variable):
        return _pair(call, call.as_variable(a), b, smaller)
    limit, infinity = _limit(b), float("inf")
    if limit is not None and len(b.array.shape) <= a.rank:
        return clip(call, a, -infinity, limit) if smaller else clip(call, a, limit, infinity)
    if not isinstance(b, Variable):
        # b constant: max(a, b) = b + relu(a - b) reads a once.
        shift = call.tensor(b.array, b.name).numpy()
        sign = -1.0 if smaller else 1.0
        over = call.add(Relu(), affine(call, a, scale=sign, shift=-sign * shift, roundings=None))
        return affine(call, over, scale=sign, shift=shift, roundings=None)
    return (minimum if smaller else maximum)(call, *broadcast(call, a, b))
