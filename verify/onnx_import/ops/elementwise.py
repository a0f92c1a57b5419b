"""Operators that are one primitive of the same meaning."""

from types import MappingProxyType

from verify import ops
from verify.onnx_import.call import Call, Variable
from verify.onnx_import.registry import importer

PRIMITIVES = MappingProxyType({
    name: getattr(ops, name) for name in (
        "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Cos", "Cosh", "Erf", "Exp", "Floor", "HardSwish",
        "Log", "Mish", "Reciprocal", "Round", "Sign", "Sin", "Sinh", "Softplus", "Sqrt", "Tan",
    )
})


@importer(*PRIMITIVES)
def elementwise(call: Call) -> Variable:
    return call.add(PRIMITIVES[call.op_type](), call.variable(0))
