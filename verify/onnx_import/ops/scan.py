"""Scan: its body over the slices of its last inputs, unrolled; the number of slices is a size, and so constant."""

from __future__ import annotations

from verify.onnx_import.call import Call, Value
from verify.onnx_import.moves import shape_of, stacked, taken
from verify.onnx_import.registry import importer


@importer("Scan")
def scan_with_batch(call: Call) -> tuple[Value, ...]:
    raise call.refuse("the form of opset 8, with a batch axis; that of opset 9 would be accepted")


@importer("Scan", since=9, accepts="any", folds=False)
def scan(call: Call) -> tuple[Value, ...]:
    count, body = call.attribute("num_scan_inputs"), call.attribute("body")
    state, inputs = list(call.inputs[:-count]), call.inputs[-count:]
    axes = [call.axis(a, len(shape_of(x))) for a, x in
            zip(call.attribute("scan_input_axes") or [0] * count, inputs, strict=True)]
    backwards = call.attribute("scan_input_directions") or [0] * count
    steps = shape_of(inputs[0])[axes[0]]
    collected: list[tuple[Value, ...]] = []
    for t in range(steps):
        slices = [taken(call, x, steps - 1 - t if back else t, axis)
                  for x, axis, back in zip(inputs, axes, backwards, strict=True)]
        values = call.inner.inline(body, (*state, *slices), f"{call.name}[{t}]")
        state = list(values[: len(state)])
        collected.append(values[len(state) :])
    outputs = list(zip(*collected, strict=True))
    directions = call.attribute("scan_output_directions") or [0] * len(outputs)
    where = call.attribute("scan_output_axes") or [0] * len(outputs)
    parts = [values[::-1] if back else values for values, back in zip(outputs, directions, strict=True)]
    ranks = [len(shape_of(values[0])) + 1 for values in parts]
    return (*state, *(stacked(call, values, call.axis(axis, rank))
                      for values, axis, rank in zip(parts, where, ranks, strict=True)))
