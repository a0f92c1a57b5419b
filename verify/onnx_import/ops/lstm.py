"""LSTM (Hochreiter and Schmidhuber 1997; peepholes: Gers and Schmidhuber 2000), gates in the order i, o, f, c:

    i = f(.. + p_i c),  f = f(.. + p_f c),  c' = f c + i g(..),  o = f(.. + p_o c'),  h' = o h(c')

with f = 1 - i under `input_forget`.
"""

from __future__ import annotations

from verify.onnx_import.call import Call, Value
from verify.onnx_import.recurrent import Cell, State, plus, times, unrolled
from verify.onnx_import.registry import importer

GATES = slice(0, 4)


@importer("LSTM", since=7)
def lstm(call: Call) -> tuple[Value, ...]:
    return unrolled(call, 4, (5, 6), _step, ("Sigmoid", "Tanh", "Tanh"), GATES)


def _step(cell: Cell, driven: Value, state: State) -> State:
    call, (h, c) = cell.call, state
    total = plus(call, driven, cell.recurred(h, GATES))

    def gate(k: int, memory: Value | None, part: int) -> Value:
        value = cell.gate(total, k)
        if cell.peephole is None or memory is None:
            return value
        weight = cell.peephole[part * cell.hidden : (part + 1) * cell.hidden]
        return plus(call, value, call.apply("Mul", memory, call.constant(weight)))

    i = cell.activate(0, gate(0, c, 0))
    if call.attribute("input_forget", 0):
        f = call.apply("Sub", call.constant(1.0), i)
    else:
        f = cell.activate(0, gate(2, c, 2))
    new = plus(call, times(call, f, c), times(call, i, cell.activate(1, cell.gate(total, 3))))
    o = cell.activate(0, gate(1, new, 1))
    return times(call, o, cell.activations[2](new)), new
