"""Numbers of a specification, taken for exactly what they are: a float is the binary number that it holds,
`Decimal("0.1")` and `Fraction(1, 10)` are a tenth.
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from numbers import Rational

import numpy as np
from torch import Tensor

from verify.errors import InvalidInput, ShapeMismatch

Number = float | int | Fraction | Decimal
Array = np.ndarray | Tensor | list | tuple | float
Limits = tuple[Number, Number]


def rational(value: Number, name: str) -> Fraction:
    """A single number, exactly. Raises `InvalidInput` with its name."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (float, Decimal)) and not math.isfinite(value):
        raise InvalidInput(f"{name} must be a finite number, got {value}")
    if isinstance(value, (float, Decimal, Rational)) and not isinstance(value, bool):
        return Fraction(value)
    raise InvalidInput(f"{name} must be a number, got {value!r}")


def radius(value: Number, name: str = "eps") -> Fraction:
    """A number that is not negative."""
    found = rational(value, name)
    if found < 0:
        raise InvalidInput(f"{name} must not be negative, got {value}")
    return found


def limits(value: Limits, name: str) -> tuple[Fraction, Fraction]:
    """A pair low <= high."""
    if not isinstance(value, (tuple, list, np.ndarray)) or len(value) != 2:
        raise InvalidInput(f"{name} must be a pair (low, high), got {value!r}")
    low, high = (rational(side, name) for side in value)
    if low > high:
        raise InvalidInput(f"{name} must be (low, high) with low <= high, got {value}")
    return low, high


def rationals(values: Array, name: str) -> np.ndarray:
    """An array of `Fraction`s in the shape of `values`, which is not empty."""
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ShapeMismatch(f"{name} is not an array: its rows have different lengths") from error
    if not array.size:
        raise ShapeMismatch(f"{name} is empty")
    found = np.empty(array.shape, dtype=object)
    for at, value in np.ndenumerate(array):
        where = f"{name}{list(map(int, at))}" if at else name
        found[at] = rational(value, where)
    return found


def floats(values: Array, name: str, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """An array of float64 numbers, as the constants of a layer must be. Raises `InvalidInput` for numbers that are
    none (a `Decimal` tenth), `ShapeMismatch` where it does not have `shape`."""
    array = _plain(values)
    found = array.astype(np.float64) if array is not None else _converted(rationals(values, name), name)
    if shape is not None and found.shape != shape:
        raise ShapeMismatch(f"{name} has shape {list(found.shape)}, expected {list(shape)}")
    if not found.size:
        raise ShapeMismatch(f"{name} is empty")
    if not np.isfinite(found).all():
        where = np.unravel_index(int(np.flatnonzero(~np.isfinite(found))[0]), found.shape)
        raise InvalidInput(f"{name}{list(map(int, where))} must be a finite number, got {found[where]}")
    return found


def _plain(values: Array) -> np.ndarray | None:
    """The array, where every entry is a float of a width that float64 holds."""
    if isinstance(values, Tensor):
        values = values.detach().cpu().double().numpy()
    plain = isinstance(values, np.ndarray) and values.dtype.kind == "f" and values.dtype.itemsize <= 8
    return values if plain else None


def _converted(exact: np.ndarray, name: str) -> np.ndarray:
    found = np.empty(exact.shape)
    for at, value in np.ndenumerate(exact):
        try:
            found[at] = float(value)
        except OverflowError as error:
            raise InvalidInput(f"{name} holds a number beyond float64") from error
        if Fraction(found[at]) != value:
            raise InvalidInput(f"{name} holds {value}, which is no floating-point number; constants of a layer are "
                               "(give a float)")
    return found
