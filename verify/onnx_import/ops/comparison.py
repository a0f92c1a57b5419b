"""Greater, Less, GreaterOrEqual, LessOrEqual, Equal: 1 where it holds, 0 where not (`verify.onnx_import.logic`)."""

from __future__ import annotations

from verify.onnx_import import logic
from verify.onnx_import.call import Call, Variable
from verify.onnx_import.registry import importer


def _ordered(call: Call, a: int, b: int, or_equal: bool) -> Variable:
    integers = logic.whole(call.element(0), call.element(1))
    return logic.greater(call, call.value(a), call.value(b), integers, or_equal)


@importer("Greater", since=7, accepts="number")
def greater(call: Call) -> Variable:
    return _ordered(call, 0, 1, or_equal=False)


@importer("Less", since=7, accepts="number")
def less(call: Call) -> Variable:
    return _ordered(call, 1, 0, or_equal=False)


@importer("GreaterOrEqual", since=12, accepts="number")
def greater_or_equal(call: Call) -> Variable:
    return _ordered(call, 0, 1, or_equal=True)


@importer("LessOrEqual", since=12, accepts="number")
def less_or_equal(call: Call) -> Variable:
    return _ordered(call, 1, 0, or_equal=True)


@importer("Equal", since=7, accepts="any")
def equal(call: Call) -> Variable:
    return logic.equal(call, call.value(0), call.value(1), logic.whole(call.element(0), call.element(1)))
