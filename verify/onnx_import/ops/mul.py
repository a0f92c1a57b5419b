"""Mul and Div by constants, with numpy broadcasting; products and quotients of two variables are refused."""

import numpy as np

from verify.errors import InvalidInput
from verify.onnx_import.call import Call, Variable
from verify.onnx_import.lowering import affine
from verify.onnx_import.registry import importer


@importer("Mul")
def mul(call: Call) -> Variable:
    a, b = call.value(0), call.value(1)
    if isinstance(a, Variable) and isinstance(b, Variable):
        raise call.refuse("both factors depend on the network input; one constant factor would be accepted")
    x, factor = (a, b) if isinstance(a, Variable) else (b, a)
    return affine(call, x, scale=call.tensor(factor.array, factor.name).numpy())


@importer("Div")
def div(call: Call) -> Variable:
    divisor = call.weight(1, "divisor").numpy()
    if (divisor == 0).any():
        raise InvalidInput(f"{call}: divides by zero")
    return affine(call, call.variable(0), scale=np.reciprocal(divisor))
