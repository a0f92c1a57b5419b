"""Mod by a constant: x - c floor(x / c), or with `fmod` x - c trunc(x / c), of which the sign is that of x."""

import numpy as np

from verify.errors import InvalidInput
from verify.onnx_import.call import Call, Variable
from verify.onnx_import.lowering import affine, plus
from verify.onnx_import.registry import importer
from verify.ops import Add, Floor, Relu


@importer("Mod")
def mod(call: Call) -> Variable:
    x, divisor = call.variable(0), call.weight(1, "divisor").numpy()
    if (divisor == 0).any():
        raise InvalidInput(f"{call}: divides by zero")
    quotient = affine(call, x, scale=np.reciprocal(divisor))
    whole = _truncated(call, quotient) if call.attribute("fmod", 0) else call.add(Floor(), quotient)
    return plus(call, x, affine(call, whole, scale=divisor), sign=-1)


def _truncated(call: Call, x: Variable) -> Variable:
    """Rounded towards 0."""
    sides = (call.add(Floor(), call.add(Relu(), v)) for v in (x, affine(call, x, scale=-1.0, roundings=None)))
    return call.add(Add((1, -1)), *sides, roundings=None)
