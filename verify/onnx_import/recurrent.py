"""Recurrent layers: unrolled over time, one copy of the cell per step.

Every gate of every step is x_t W^T + h_(t-1) R^T + b (`gates` of them side by side); what it is made into is the
operator's own (`verify.onnx_import.ops.lstm`, `gru`, `rnn`). Weights and sequence lengths are constants; the sequence
and the initial states may be either. After the end of a shorter sequence the state stays and the output is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from verify.errors import InvalidInput
from verify.onnx_import.call import Call, Known, Value
from verify.onnx_import.moves import joined, moved, shape_of, stacked, taken

State = tuple[Value | None, ...]
Activation = Callable[[Value], Value]

# Which parameters an activation has, and their defaults.
ACTIVATIONS = MappingProxyType({
    "relu": ("Relu", {}), "tanh": ("Tanh", {}), "sigmoid": ("Sigmoid", {}), "softsign": ("Softsign", {}),
    "softplus": ("Softplus", {}), "leakyrelu": ("LeakyRelu", {"alpha": 0.01}),
    "thresholdedrelu": ("ThresholdedRelu", {"alpha": 1.0}), "elu": ("Elu", {"alpha": 1.0}),
    "hardsigmoid": ("HardSigmoid", {"alpha": 0.2, "beta": 0.5}), "affine": ("Affine", {"alpha": 1.0, "beta": 0.0}),
    "scaledtanh": ("ScaledTanh", {"alpha": 1.0, "beta": 1.0}),
})


@dataclass(frozen=True, eq=False)
class Cell:
    """One direction: weights (gates hidden, ..) in float64, bias of the input and of the recurrence, activations;
    `peephole` are the weights of an LSTM's memory in its gates."""

    call: Call
    hidden: int
    weight: np.ndarray
    recurrence: np.ndarray
    bias: tuple[np.ndarray, np.ndarray]
    activations: tuple[Activation, ...]
    peephole: np.ndarray | None = None

    def gate(self, value: Value, k: int) -> Value:
        """Columns of gate k."""
        return moved(self.call, value, lambda array: array[:, k * self.hidden : (k + 1) * self.hidden])

    def rows(self, gates: slice) -> slice:
        return slice(gates.start * self.hidden, gates.stop * self.hidden)

    def recurred(self, state: Value | None, gates: slice, bias: bool = False) -> Value | None:
        """h R^T for some gates, with their bias if asked; None stands for 0."""
        rows = self.rows(gates)
        shift = self.bias[1][rows] if bias else None
        if state is None:
            return None if shift is None else self.call.constant(shift[None])
        found = self.call.apply("MatMul", state, self.call.constant(self.recurrence[rows].T))
        return found if shift is None else self.call.apply("Add", found, self.call.constant(shift))

    def clipped(self, value: Value) -> Value:
        """What enters an activation is cut to the attribute `clip`."""
        limit = self.call.attribute("clip")
        if not limit:
            return value
        return self.call.apply("Clip", value, self.call.constant(np.float32(-limit)),
                               self.call.constant(np.float32(limit)))

    def activate(self, k: int, value: Value) -> Value:
        return self.activations[k](self.clipped(value))


Step = Callable[[Cell, Value, State], State]


def plus(call: Call, a: Value | None, b: Value | None) -> Value | None:
    """a + b, None standing for 0."""
    if a is None or b is None:
        return b if a is None else a
    return call.apply("Add", a, b)


def times(call: Call, a: Value | None, b: Value | None) -> Value | None:
    return None if a is None or b is None else call.apply("Mul", a, b)


def unrolled(call: Call, gates: int, states: Sequence[int], step: Step, defaults: Sequence[str],
             shared_bias: slice) -> tuple[Value, ...]:
    """Y and the last states. `states` are the inputs with initial values, the first of them h; `step` maps a cell, its
    gates' x_t W^T + b and the states to the next states. Gates in `shared_bias` get both biases at once."""
    x = call.value(0)
    flip = call.attribute("layout", 0)
    x = moved(call, x, lambda array: array.swapaxes(0, 1)) if flip else x
    steps, batch, _ = shape_of(x)
    lengths = np.array(call.integers(4, "sequence lengths") or [steps] * batch)
    direction = call.text("direction", "forward")
    if direction not in ("forward", "reverse", "bidirectional") or (lengths > steps).any():
        raise InvalidInput(f"{call}: direction {direction!r} or sequence lengths {lengths.tolist()} do not exist")
    backwards = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}[direction]
    found = []
    for d, back in enumerate(backwards):
        cell = _cell(call, d, len(backwards), gates, defaults)
        initial = tuple(_initial(call, index, d, flip) for index in states)
        found.append(_direction(call, cell, x, (back, lengths), initial, step, shared_bias))
    y = stacked(call, [outputs for outputs, _ in found], 1)
    last = [stacked(call, [state[k] for _, state in found], 0) for k in range(len(states))]
    if flip:
        y = moved(call, y, lambda array: array.transpose(2, 0, 1, 3))
        last = [moved(call, value, lambda array: array.swapaxes(0, 1)) for value in last]
    return (y, *last)


def _initial(call: Call, index: int, d: int, flip: int) -> Value | None:
    if not call.has(index):
        return None
    value = taken(call, call.value(index), d, 1 if flip else 0)
    return None if isinstance(value, Known) and not value.array.any() else value


def _cell(call: Call, d: int, directions: int, gates: int, defaults: Sequence[str]) -> Cell:
    weight, recurrence = (call.weight(k, name).numpy()[d] for k, name in ((1, "weight"), (2, "recurrence")))
    hidden = recurrence.shape[-1]
    if weight.shape[0] != gates * hidden or recurrence.shape[0] != gates * hidden:
        raise InvalidInput(f"{call}: its weights are not those of {gates} gates with {hidden} entries")
    bias = call.weight(3, "bias").numpy()[d] if call.has(3) else np.zeros(2 * gates * hidden)
    activations = _activations(call, d, directions, defaults)
    peephole = call.weight(7, "peephole").numpy()[d] if call.has(7) else None
    return Cell(call, hidden, weight, recurrence, tuple(np.split(bias, 2)), activations, peephole)


def _activations(call: Call, d: int, directions: int, defaults: Sequence[str]) -> tuple[Activation, ...]:
    names = [n.decode() if isinstance(n, bytes) else n for n in call.attribute("activations", ())]
    names = names or list(defaults) * directions
    if len(names) != len(defaults) * directions:
        raise InvalidInput(f"{call}: {len(names)} activations; {len(defaults) * directions} are needed")
    # Parameters are listed for all activations of all directions, those without one skipped.
    given = {key: list(call.attribute(f"activation_{key}", ())) for key in ("alpha", "beta")}
    found = []
    for name in names:
        if name.lower() not in ACTIVATIONS:
            raise call.refuse(f"the activation {name}; {', '.join(kind for kind, _ in ACTIVATIONS.values())} exist")
        kind, parameters = ACTIVATIONS[name.lower()]
        chosen = {key: given[key].pop(0) if given[key] else value for key, value in parameters.items()}
        found.append(_activation(call, kind, chosen))
    return tuple(found[d * len(defaults) : (d + 1) * len(defaults)])


def _activation(call: Call, kind: str, parameters: dict[str, float]) -> Activation:
    if kind not in ("Affine", "ScaledTanh"):
        return lambda value: call.apply(kind, value, **parameters)
    alpha, beta = (call.constant(np.float32(parameters[key])) for key in ("alpha", "beta"))
    if kind == "Affine":
        return lambda value: call.apply("Add", call.apply("Mul", value, alpha), beta)
    return lambda value: call.apply("Mul", call.apply("Tanh", call.apply("Mul", value, beta)), alpha)


def _direction(call: Call, cell: Cell, x: Value, order: tuple[bool, np.ndarray], state: State, step: Step,
               shared_bias: slice) -> tuple[Value, list[Value]]:
    """Outputs (steps, batch, hidden) and last states (batch, hidden) of one direction."""
    back, lengths = order
    steps, batch, _ = shape_of(x)
    bias = cell.bias[0].copy()
    bias[cell.rows(shared_bias)] += cell.bias[1][cell.rows(shared_bias)]
    driven = call.apply("MatMul", x, call.constant(cell.weight.T))
    driven = call.apply("Add", driven, call.constant(bias)) if bias.any() else driven
    zero = call.constant(np.zeros((batch, cell.hidden), dtype=np.float32))
    outputs: list[Value] = [zero] * steps
    for t in reversed(range(steps)) if back else range(steps):
        running = t < lengths
        if running.any():
            new = step(cell, taken(call, driven, t, 0), state)
            outputs[t] = _where(call, running, new[0], zero)
            state = tuple(_where(call, running, value, old or zero) for value, old in zip(new, state, strict=True))
    return stacked(call, outputs, 0), [value or zero for value in state]


def _where(call: Call, rows: np.ndarray, a: Value, b: Value) -> Value:
    """Rows of a where the mask is set, of b elsewhere."""
    if rows.all():
        return a
    parts = [moved(call, a if row else b, lambda array, k=k: array[k : k + 1]) for k, row in enumerate(rows)]
    return joined(call, parts, 0)
