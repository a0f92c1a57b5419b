"""LpPool and GlobalLpPool: the p-th root of the sum of |x|^p over each window, for p = 1 and 2."""

from __future__ import annotations

import numpy as np

from verify.onnx_import.call import Call, Value
from verify.onnx_import.registry import importer
from verify.ops import Sum

WINDOW = ("auto_pad", "dilations", "kernel_shape", "pads", "strides")


def _powers(call: Call, p: int) -> Value:
    x = call.variable(0)
    if p not in (1, 2):
        raise call.refuse(f"p = {p}; 1 and 2 would be accepted")
    return call.apply("Abs", x) if p == 1 else call.apply("Mul", x, x)


@importer("LpPool", since=2)
def lp_pool(call: Call) -> Value:
    if call.attribute("ceil_mode", 0):
        raise call.refuse("ceil_mode; windows that lie inside would be accepted")
    p, channels = call.attribute("p", 2), call.variable(0).shape[1]
    ones = call.constant(np.ones((channels, 1, *call.attribute("kernel_shape")), dtype=np.float32))
    window = {name: call.attributes[name] for name in WINDOW if name in call.attributes}
    total = call.apply("Conv", _powers(call, p), ones, group=channels, **window)
    return total if p == 1 else call.apply("Sqrt", total)


@importer("GlobalLpPool", since=2)
def global_lp_pool(call: Call) -> Value:
    p = call.attribute("p", 2)
    powers = _powers(call, p)
    total = call.add(Sum(tuple(range(2, powers.rank))), powers)
    return total if p == 1 else call.apply("Sqrt", total)
