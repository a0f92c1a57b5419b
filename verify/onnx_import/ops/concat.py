"""Concat along an axis; constants among the values become `Constant` nodes."""

from verify.onnx_import.call import Call, Value, Variable
from verify.onnx_import.registry import importer
from verify.ops import Concat


def _empty(value: Value) -> bool:
    return not isinstance(value, Variable) and value.array.size == 0


@importer("Concat", since=4, accepts="any")
def concat(call: Call) -> Variable:
    parts = [call.as_variable(value) for value in call.inputs if not _empty(value)]
    return parts[0] if len(parts) == 1 else call.add(Concat(call.axis(call.attribute("axis"), parts[0].rank)), *parts)
