"""Add, Sub and Sum with numpy broadcasting: constants become an `Affine` shift, variables an `Add`."""

from verify.onnx_import.call import Call, Value, Variable
from verify.onnx_import.lowering import affine, broadcast
from verify.onnx_import.registry import importer
from verify.ops import Add


def _add(call: Call, a: Value, b: Value, sign: int = 1) -> Variable:
    """a + sign * b, at least one of them a variable."""
    if not isinstance(b, Variable):
        return affine(call, a, shift=sign * call.tensor(b.array, b.name).numpy())
    if not isinstance(a, Variable):
        return affine(call, b, scale=None if sign > 0 else -1.0, shift=call.tensor(a.array, a.name).numpy())
    return call.add(Add((1, sign)), *broadcast(call, a, b))


@importer("Add", accepts="number")
def add(call: Call) -> Variable:
    return _add(call, call.value(0), call.value(1))


@importer("Sub", accepts="number")
def sub(call: Call) -> Variable:
    return _add(call, call.value(0), call.value(1), sign=-1)


@importer("Sum", accepts="number")
def sum_(call: Call) -> Variable:
    total = call.variable(0)
    for k in range(1, len(call.inputs)):
        total = _add(call, total, call.value(k))
    return total
