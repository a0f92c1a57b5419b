"""And, Or, Xor, Not of truth values (`verify.onnx_import.logic`); with a constant operand an `Affine`."""

from __future__ import annotations

import numpy as np

from verify.onnx_import import logic
from verify.onnx_import.call import Call, Variable
from verify.onnx_import.lowering import affine
from verify.onnx_import.registry import importer


def _operands(call: Call) -> tuple[Variable, Variable | np.ndarray]:
    """A variable, and the other operand: a variable or a mask of 0 and 1."""
    a, b = call.value(0), call.value(1)
    a, b = (a, b) if isinstance(a, Variable) else (b, a)
    return a, b if isinstance(b, Variable) else b.array.astype(np.float64)


@importer("And", since=7, accepts="any")
def and_(call: Call) -> Variable:
    a, b = _operands(call)
    return logic.both(call, a, b) if isinstance(b, Variable) else affine(call, a, scale=b, roundings=None)


@importer("Or", since=7, accepts="any")
def or_(call: Call) -> Variable:
    a, b = _operands(call)
    return logic.either(call, a, b) if isinstance(b, Variable) else affine(call, a, 1 - b, b, roundings=None)


@importer("Xor", since=7, accepts="any")
def xor(call: Call) -> Variable:
    a, b = _operands(call)
    return logic.one_of(call, a, b) if isinstance(b, Variable) else affine(call, a, 1 - 2 * b, b, roundings=None)


@importer("Not", accepts="any")
def not_(call: Call) -> Variable:
    return logic.complement(call, call.variable(0))
