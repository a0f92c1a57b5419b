"""Squeeze and Unsqueeze: axes of size 1 removed or inserted; the axes are an attribute before opset 13."""

from collections.abc import Sequence

from verify.errors import ShapeMismatch
from verify.onnx_import.call import Call, Variable
from verify.onnx_import.registry import importer


def _squeeze(call: Call, axes: Sequence[int] | None) -> Variable:
    x = call.variable(0)
    dropped = {call.axis(a, x.rank) for a in axes} if axes else {k for k, size in enumerate(x.shape) if size == 1}
    if any(x.shape[k] != 1 for k in dropped):
        raise ShapeMismatch(f"cannot squeeze axes {sorted(dropped)} of shape {list(x.shape)}")
    return call.reshape(x, tuple(size for k, size in enumerate(x.shape) if k not in dropped))


def _unsqueeze(call: Call, axes: Sequence[int]) -> Variable:
    x = call.variable(0)
    rank = x.rank + len(axes)
    inserted = {call.axis(a, rank) for a in axes}
    rest = iter(x.shape)
    return call.reshape(x, tuple(1 if k in inserted else next(rest) for k in range(rank)))


@importer("Squeeze", accepts="any")
def squeeze_attribute(call: Call) -> Variable:
    return _squeeze(call, call.attribute("axes"))


@importer("Squeeze", since=13, accepts="any")
def squeeze_input(call: Call) -> Variable:
    return _squeeze(call, call.integers(1, "axes"))


@importer("Unsqueeze", accepts="any")
def unsqueeze_attribute(call: Call) -> Variable:
    return _unsqueeze(call, call.attribute("axes"))


@importer("Unsqueeze", since=13, accepts="any")
def unsqueeze_input(call: Call) -> Variable:
    return _unsqueeze(call, call.integers(1, "axes"))
