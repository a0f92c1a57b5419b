"""If: the branch that a constant condition chooses; both branches, mixed, where it depends on the network input."""

from __future__ import annotations

from verify.onnx_import.call import Call, Known, Value
from verify.onnx_import.moves import shape_of
from verify.onnx_import.ops.where import chosen
from verify.onnx_import.registry import importer


@importer("If", accepts="any", folds=False)
def if_(call: Call) -> tuple[Value, ...]:
    condition = call.value(0)
    names = ("then_branch", "else_branch")
    if isinstance(condition, Known):
        name = names[0] if condition.array.reshape(-1)[0] else names[1]
        return call.inner.inline(call.attribute(name), (), call.name)
    results = [call.inner.inline(call.attribute(name), (), f"{call.name}/{name}") for name in names]
    if any(shape_of(a) != shape_of(b) for a, b in zip(*results, strict=True)):
        raise call.refuse("its condition depends on the network input and its branches differ in shape")
    return tuple(a if a is b else chosen(call, condition, a, b) for a, b in zip(*results, strict=True))
