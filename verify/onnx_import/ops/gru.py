"""GRU (Cho et al. 2014), gates in the order z, r, h:

    h' = n + z (h - n),    n = g(x W^T + (r h) R^T + b),  or, with `linear_before_reset`,  g(x W^T + w + r (h R^T + b))
"""

from __future__ import annotations

from verify.onnx_import.call import Call, Value
from verify.onnx_import.recurrent import Cell, State, plus, times, unrolled
from verify.onnx_import.registry import importer

UPDATE, NEW = slice(0, 2), slice(2, 3)


@importer("GRU", since=7)
def gru(call: Call) -> tuple[Value, ...]:
    shared = UPDATE if call.attribute("linear_before_reset", 0) else slice(0, 3)
    return unrolled(call, 3, (5,), _step, ("Sigmoid", "Tanh"), shared)


def _step(cell: Cell, driven: Value, state: State) -> State:
    call, (h,) = cell.call, state
    before = cell.recurred(h, UPDATE)
    z, r = (cell.activate(0, plus(call, cell.gate(driven, k), None if before is None else cell.gate(before, k)))
            for k in (0, 1))
    if call.attribute("linear_before_reset", 0):
        inner = times(call, r, cell.recurred(h, NEW, bias=True))
    else:
        inner = cell.recurred(times(call, r, h), NEW)
    n = cell.activate(1, plus(call, cell.gate(driven, 2), inner))
    if h is None:
        return (call.apply("Sub", n, call.apply("Mul", z, n)),)
    return (plus(call, n, call.apply("Mul", z, call.apply("Sub", h, n))),)
