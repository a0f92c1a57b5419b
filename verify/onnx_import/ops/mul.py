"""Mul and Div with numpy broadcasting. By constants they are affine; of variables x y is a `Product` (x x a square) and
x / y = x (1 / y), 1 / y a curve that has no bound where the interval of y meets 0."""

import numpy as np

from verify.errors import InvalidInput
from verify.onnx_import.call import Call, Variable
from verify.onnx_import.lowering import affine, times
from verify.onnx_import.registry import importer
from verify.ops import Reciprocal


@importer("Mul", accepts="number")
def mul(call: Call) -> Variable:
    return times(call, call.value(0), call.value(1))


@importer("Div")
def div(call: Call) -> Variable:
    divisor = call.value(1)
    if isinstance(divisor, Variable):
        return times(call, call.value(0), call.add(Reciprocal(), divisor))
    divisor = call.tensor(divisor.array, divisor.name).numpy()
    if (divisor == 0).any():
        raise InvalidInput(f"{call}: divides by zero")
    return affine(call, call.variable(0), scale=np.reciprocal(divisor))
