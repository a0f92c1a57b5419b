"""RNN: h' = f(x W^T + h R^T + b)."""

from __future__ import annotations

from verify.onnx_import.call import Call, Value
from verify.onnx_import.recurrent import Cell, State, plus, unrolled
from verify.onnx_import.registry import importer

GATE = slice(0, 1)


@importer("RNN", since=7)
def rnn(call: Call) -> tuple[Value, ...]:
    return unrolled(call, 1, (5,), _step, ("Tanh",), GATE)


def _step(cell: Cell, driven: Value, state: State) -> State:
    return (cell.activate(0, plus(cell.call, driven, cell.recurred(state[0], GATE))),)
