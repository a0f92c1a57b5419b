"""ScatterElements (once Scatter) and ScatterND with constant indices: data with entries replaced by updates.

Without a reduction entries move. With one, updates that meet in one entry are applied round by round, in order:
data + update, data update, max(data, update), min(data, update).
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

from verify.errors import InvalidInput
from verify.onnx_import.call import Call, Value
from verify.onnx_import.moves import assembled, shape_of
from verify.onnx_import.registry import importer

REDUCTIONS = MappingProxyType({"add": ("Add", 0.0), "mul": ("Mul", 1.0), "max": ("Max", None), "min": ("Min", None)})


def _rounds(targets: np.ndarray, size: int) -> list[np.ndarray]:
    """For every round which update (or -1) each entry of the data takes: `targets` are the entries that the updates
    go to."""
    rounds: list[np.ndarray] = []
    seen = np.zeros(size, dtype=np.int64)
    for update, entry in enumerate(targets.reshape(-1)):
        if seen[entry] == len(rounds):
            rounds.append(np.full(size, -1, dtype=np.int64))
        rounds[seen[entry]][entry] = update
        seen[entry] += 1
    return rounds


def _scattered(call: Call, targets: np.ndarray) -> Value:
    data, updates = call.value(0), call.value(2)
    shape = shape_of(data)
    size, reduction = int(np.prod(shape)), call.text("reduction", "none")
    own = np.arange(size)
    rounds = _rounds(targets, size)
    if reduction == "none":
        if len(rounds) > 1:
            raise call.refuse("several updates meet in one entry; with a reduction, or distinct indices, they may")
        taken = rounds[0] if rounds else np.full(size, -1)
        return assembled(call, (data, updates), np.where(taken < 0, own, size + taken).reshape(shape))
    operator, neutral = REDUCTIONS[reduction]
    for taken in rounds:
        spare = own if neutral is None else np.full(size, size + targets.size)
        values = (call.value(0), updates, call.constant(np.float32(neutral or 0.0)))
        part = assembled(call, values, np.where(taken < 0, spare, size + taken).reshape(shape))
        data = call.apply(operator, data, part)
    return data


@importer("Scatter", since=9, accepts="any")
@importer("ScatterElements", since=11, accepts="any")
def scatter_elements(call: Call) -> Value:
    shape = shape_of(call.value(0))
    axis = call.axis(call.attribute("axis", 0), len(shape))
    indices = call.known(1, "index").astype(np.int64)
    if len(indices.shape) != len(shape) or ((indices < -shape[axis]) | (indices >= shape[axis])).any():
        raise InvalidInput(f"{call}: its indices lie outside of {list(shape)}")
    where = list(np.indices(indices.shape))
    where[axis] = indices % shape[axis]
    return _scattered(call, np.ravel_multi_index(tuple(where), shape))


@importer("ScatterND", since=11, accepts="any")
def scatter_nd(call: Call) -> Value:
    shape = shape_of(call.value(0))
    rows = call.known(1, "indices").astype(np.int64)
    sizes = np.array(shape[: rows.shape[-1]])
    if len(sizes) < rows.shape[-1] or ((rows < -sizes) | (rows >= sizes)).any():
        raise InvalidInput(f"{call}: its indices lie outside of {list(shape)}")
    flat = np.arange(int(np.prod(shape))).reshape(shape)
    return _scattered(call, flat[tuple(np.moveaxis(rows % sizes, -1, 0))])
