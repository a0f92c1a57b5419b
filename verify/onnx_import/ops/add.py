"""Add, Sub, Sum and Mean with numpy broadcasting: constants become an `Affine` shift, variables an `Add`."""

from verify.onnx_import.call import Call, Known, Value, Variable
from verify.onnx_import.lowering import affine, plus
from verify.onnx_import.registry import importer


@importer("Add", accepts="number")
def add(call: Call) -> Variable:
    return plus(call, call.value(0), call.value(1))


@importer("Sub", accepts="number")
def sub(call: Call) -> Variable:
    return plus(call, call.value(0), call.value(1), sign=-1)


@importer("Sum", accepts="number")
def sum_(call: Call) -> Variable:
    total: Value = call.value(0)
    for k in range(1, len(call.inputs)):
        other = call.value(k)
        both_known = isinstance(total, Known) and isinstance(other, Known)
        total = plus(call, call.as_variable(total) if both_known else total, other)
    return call.as_variable(total)


@importer("Mean")
def mean(call: Call) -> Variable:
    return affine(call, sum_(call), scale=1 / len(call.inputs))
