"""Clip: y = a + relu(x - a) - relu(x - b); a missing or infinite limit drops its term.

With only an upper limit b it is b - relu(b - x), which reads x once. Limits that are variables are a maximum and then a
minimum.
"""

import numpy as np

from verify.errors import InvalidInput
from verify.onnx_import.call import Call, Variable
from verify.onnx_import.lowering import affine, broadcast, maximum, minimum
from verify.onnx_import.registry import importer
from verify.ops import Add, Relu

# Exporters write "no limit" as the largest finite number of the type; no network value comes near it.
NO_LIMIT = 1e38


def clip(call: Call, x: Variable, low: float, high: float) -> Variable:
    """min(max(x, low), high); limits of magnitude 1e38 and beyond do not count."""
    if not low <= high:
        raise InvalidInput(f"{call}: limits {low} and {high} are not in order")
    if low <= -NO_LIMIT and high >= NO_LIMIT:
        return x
    if low <= -NO_LIMIT:
        room = call.add(Relu(), affine(call, x, scale=-1.0, shift=high, roundings=None))
        return affine(call, room, scale=-1.0, shift=high, roundings=None)
    above = call.add(Relu(), affine(call, x, shift=-low, roundings=None))
    if high < NO_LIMIT:
        beyond = call.add(Relu(), affine(call, x, shift=-high, roundings=None))
        above = call.add(Add((1, -1)), above, beyond, roundings=None)
    return affine(call, above, shift=low, roundings=None)


@importer("Clip", accepts="number")
def clip_attributes(call: Call) -> Variable:
    low, high = call.attribute("min", -np.inf), call.attribute("max", np.inf)
    return clip(call, call.variable(0), float(low), float(high))


@importer("Clip", since=11, accepts="number")
def clip_inputs(call: Call) -> Variable:
    if any(call.has(k) and isinstance(call.value(k), Variable) for k in (1, 2)):
        return _between_variables(call)
    low = float(call.known(1, "lower limit").reshape(())) if call.has(1) else -np.inf
    high = float(call.known(2, "upper limit").reshape(())) if call.has(2) else np.inf
    return clip(call, call.variable(0), low, high)


def _between_variables(call: Call) -> Variable:
    y = call.variable(0)
    y = maximum(call, *broadcast(call, y, call.variable(1))) if call.has(1) else y
    return minimum(call, *broadcast(call, y, call.variable(2))) if call.has(2) else y
