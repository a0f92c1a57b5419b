"""Sigmoid and Tanh: primitives of the same name."""

from verify.onnx_import.call import Call, Variable
from verify.onnx_import.registry import importer
from verify.ops import Sigmoid, Tanh


@importer("Sigmoid")
def sigmoid(call: Call) -> Variable:
    return call.add(Sigmoid(), call.variable(0))


@importer("Tanh")
def tanh(call: Call) -> Variable:
    return call.add(Tanh(), call.variable(0))
