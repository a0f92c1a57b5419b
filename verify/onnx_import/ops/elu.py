"""Elu, Selu and Celu: x right of 0, a multiple of exp - 1 left of it.

    Elu:   x, alpha (exp(x) - 1)
    Selu:  gamma x, gamma alpha (exp(x) - 1)
    Celu:  x, alpha (exp(x / alpha) - 1)
"""

from verify.onnx_import.call import Call, Variable
from verify.onnx_import.registry import importer
from verify.ops import Elu

# Defaults of the operator, the fixed point of Klambauer et al. 2017.
SELU_ALPHA, SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875


@importer("Elu")
def elu(call: Call) -> Variable:
    return call.add(Elu(call.attribute("alpha", 1.0)), call.variable(0))


@importer("Selu")
def selu(call: Call) -> Variable:
    alpha, gamma = call.attribute("alpha", SELU_ALPHA), call.attribute("gamma", SELU_GAMMA)
    if not gamma > 0:
        raise call.refuse(f"gamma = {gamma}; a positive one is supported")
    return call.add(Elu(alpha, gamma), call.variable(0))


@importer("Celu")
def celu(call: Call) -> Variable:
    alpha = call.attribute("alpha", 1.0)
    if not alpha > 0:
        raise call.refuse(f"alpha = {alpha}; a positive one is supported")
    return call.add(Elu(alpha, beta=1 / alpha), call.variable(0))
