"""Moves of entries that know constants: what is known stays known, the rest becomes `Gather` and `Concat`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from verify.onnx_import.call import Call, Value, Variable
from verify.ops import Concat, Constant


def shape_of(value: Value) -> tuple[int, ...]:
    return value.shape if isinstance(value, Variable) else value.array.shape


def moved(call: Call, value: Value, how: Callable[[np.ndarray], np.ndarray]) -> Value:
    """The value with its entries moved as `how` moves those of an array."""
    return call.rearrange(value, how) if isinstance(value, Variable) else call.constant(how(value.array))


def taken(call: Call, value: Value, k: int, axis: int) -> Value:
    """Entry k along an axis, which disappears."""
    return moved(call, value, lambda array: np.take(array, k, axis))


def reshaped(call: Call, value: Value, shape: Sequence[int]) -> Value:
    return moved(call, value, lambda array: array.reshape(tuple(shape)))


def joined(call: Call, values: Sequence[Value], axis: int) -> Value:
    """The values one behind the other along an axis; those without entries leave no trace."""
    if not any(isinstance(value, Variable) for value in values):
        return call.constant(np.concatenate([value.array for value in values], axis))
    parts = [call.as_variable(value) for value in values if 0 not in shape_of(value)]
    return parts[0] if len(parts) == 1 else call.add(Concat(axis), *parts)


def stacked(call: Call, values: Sequence[Value], axis: int) -> Value:
    """The values along a new axis."""
    return joined(call, [moved(call, value, lambda array: np.expand_dims(array, axis)) for value in values], axis)


def assembled(call: Call, values: Sequence[Value], sources: np.ndarray) -> Variable:
    """Entry k is the flat entry sources[k] of all values, laid one behind the other. Of the constants only the numbers
    that are read join the graph: none where it is just one."""
    ends = np.cumsum([0, *(int(np.prod(shape_of(value))) for value in values)])
    owner = np.searchsorted(ends, sources, side="right") - 1
    parts, index, start = [], np.full(sources.shape, -1), 0
    for k, value in enumerate(values):
        if isinstance(value, Variable) and (owner == k).any():
            index[owner == k] = sources[owner == k] - ends[k] + start
            parts.append(call.reshape(value, (value.size,)))
            start += value.size
    known = index < 0
    fixed = np.concatenate([np.zeros(value.size) if isinstance(value, Variable)
                            else value.array.reshape(-1).astype(np.float64) for value in values])
    numbers, which = np.unique(fixed[sources[known]], return_inverse=True)
    numbers = call.tensor(numbers)
    if len(numbers) > 1 or not parts:
        index[known] = which.reshape(-1) + start
        parts.append(call.add(Constant(numbers)))
    joint = parts[0] if len(parts) == 1 else call.add(Concat(0), *parts)
    return call.gather(joint, index, float(numbers[0]) if len(numbers) == 1 else 0.0)
