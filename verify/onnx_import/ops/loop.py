"""Loop with constant trip count and conditions: unrolled. Values collected on the way are joined along a new axis."""

from __future__ import annotations

import numpy as np

from verify.onnx_import.call import Call, Known, Value
from verify.onnx_import.moves import stacked
from verify.onnx_import.registry import importer

# Iterations that are unrolled: beyond, the graph would be too large for everything that follows.
LIMIT = 10_000


@importer("Loop", accepts="any", folds=False)
def loop(call: Call) -> tuple[Value, ...]:
    limit = int(call.known(0, "trip count").reshape(-1)[0]) if call.has(0) else LIMIT + 1
    go_on = bool(call.known(1, "condition").reshape(-1)[0]) if call.has(1) else True
    state, body = list(call.inputs[2:]), call.attribute("body")
    collected: list[tuple[Value, ...]] = []
    while go_on and len(collected) < limit:
        if len(collected) == LIMIT:
            raise call.refuse(f"it has more than {LIMIT} iterations")
        head = (call.constant(np.int64(len(collected))), call.constant(np.bool_(True)))
        condition, *values = call.inner.inline(body, (*head, *state), f"{call.name}[{len(collected)}]")
        if not isinstance(condition, Known):
            raise call.refuse("its condition depends on the network input; a constant one would be accepted")
        go_on = bool(condition.array.reshape(-1)[0])
        state = values[: len(state)]
        collected.append(tuple(values[len(state) :]))
    if not collected and len(body.output) > 1 + len(state):
        raise call.refuse("it collects values in no iteration, which gives an empty tensor")
    return (*state, *(stacked(call, parts, 0) for parts in zip(*collected, strict=True)))
