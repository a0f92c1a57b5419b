"""Slice as a `Gather`: starts, ends, axes, steps are attributes before opset 10, inputs since."""

from __future__ import annotations

from collections.abc import Sequence

from verify.errors import InvalidInput
from verify.onnx_import.call import Call, Variable
from verify.onnx_import.registry import importer


def _slice(
    call: Call, starts: Sequence[int], ends: Sequence[int], axes: Sequence[int], steps: Sequence[int]
) -> Variable:
    x = call.variable(0)
    axes = axes or range(len(starts))
    steps = steps or [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise InvalidInput(f"{call}: starts, ends, axes and steps do not belong together, or a step is 0")
    cut = [slice(None)] * x.rank
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis = call.axis(axis, x.rank)
        # Python would read a clamped end of -1 as "the last entry", so a whole reversed axis ends at None.
        backwards_to_start = step < 0 and end < -x.shape[axis]
        cut[axis] = slice(start, None if backwards_to_start else end, step)
    return call.rearrange(x, lambda index: index[tuple(cut)])


@importer("Slice", accepts="any")
def slice_attributes(call: Call) -> Variable:
    return _slice(call, call.attribute("starts"), call.attribute("ends"), call.attribute("axes", ()), ())


@importer("Slice", since=10, accepts="any")
def slice_inputs(call: Call) -> Variable:
    return _slice(
        call, call.integers(1, "starts"), call.integers(2, "ends"), call.integers(3, "axes"), call.integers(4, "steps")
    )
