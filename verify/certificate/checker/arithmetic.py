"""The arithmetics of the checker behind one interface: float64 with error bounds, and exact dyadic numbers.

A pass computes in arrays that `lift` made. Float64 arrays round; `gamma(n)` bounds the relative error of any sum of n
products in any order, n u / (1 - n u) with u = 2^-53 (Higham 2002, eq. 3.4), eight operations to spare. Exact arrays
hold `Dyadic` objects, m 2^e with integers m and e: sums and products of floats are dyadic, nothing is ever divided, so
`gamma` is 0. What must be rounded (bounds of neurons, slopes, errors) are float64 numbers in both; `below` and `above`
round outward, and `enlarged` adds to a computed error what its own rounding and all underflow may have lost.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType

import numpy as np

from verify.certificate.checker.errors import Rejected

UNIT = 2.0**-53
LARGEST = 2.0**150
"""No value of a network may be larger. An underflow in a coefficient costs 2^-1074 times a value: TINY covers 2^124."""
TINY = 2.0**-800


def enlarged(error: np.ndarray) -> np.ndarray:
    """At least the exact value of an error that was computed as sums of less than 2^22 products each."""
    return error * (1 + 2.0**-30) + TINY


def each(work: Callable, parts: Sequence) -> list:
    """work(part) for every part, on all cores: numpy lets other threads run while it computes."""

    def quietly(part):
        # Overflow and invalid operations end in bounds that are not finite, which prove nothing.
        with np.errstate(all="ignore"):
            return work(part)

    cores = os.cpu_count() or 1
    if cores == 1 or len(parts) < 2 * cores:
        return [quietly(part) for part in parts]
    with ThreadPoolExecutor(cores) as pool:
        return list(pool.map(quietly, parts))


class Dyadic:
    """mantissa * 2^exponent with Python integers; arithmetic is exact."""

    __slots__ = ("exponent", "mantissa")

    def __init__(self, mantissa: int, exponent: int = 0):
        self.mantissa, self.exponent = mantissa, exponent

    @classmethod
    def of(cls, value: Dyadic | int | float) -> Dyadic:
        if isinstance(value, Dyadic):
            return value
        numerator, denominator = float(value).as_integer_ratio()
        return cls(numerator, 1 - denominator.bit_length())

    def __add__(self, other: Dyadic | int | float) -> Dyadic:
        if type(other) is not Dyadic:
            other = Dyadic.of(other)
        if not other.mantissa:
            return self
        if not self.mantissa:
            return other
        shift = self.exponent - other.exponent
        if shift >= 0:
            return Dyadic((self.mantissa << shift) + other.mantissa, other.exponent)
        return Dyadic(self.mantissa + (other.mantissa << -shift), self.exponent)

    __radd__ = __add__

    def __mul__(self, other: Dyadic | int | float) -> Dyadic:
        if type(other) is not Dyadic:
            other = Dyadic.of(other)
        return Dyadic(self.mantissa * other.mantissa, self.exponent + other.exponent)

    __rmul__ = __mul__

    def __neg__(self) -> Dyadic:
        return Dyadic(-self.mantissa, self.exponent)

    def __sub__(self, other: Dyadic | int | float) -> Dyadic:
        return self + -Dyadic.of(other)

    def __rsub__(self, other: int | float) -> Dyadic:
        return Dyadic.of(other) + -self

    def __abs__(self) -> Dyadic:
        return Dyadic(abs(self.mantissa), self.exponent)

    def __lt__(self, other) -> bool:
        return (self - other).mantissa < 0

    def __le__(self, other) -> bool:
        return (self - other).mantissa <= 0

    def __gt__(self, other) -> bool:
        return (self - other).mantissa > 0

    def __ge__(self, other) -> bool:
        return (self - other).mantissa >= 0

    def __eq__(self, other) -> bool:
        return (self - other).mantissa == 0

    __hash__ = None

    def toward(self, direction: float) -> float:
        """The nearest float64 at or beyond this number in the direction (-inf or inf)."""
        if self.exponent >= 0:
            numerator, denominator = self.mantissa << self.exponent, 1
        else:
            numerator, denominator = self.mantissa, 1 << -self.exponent
        try:
            near = numerator / denominator  # integers divide to the nearest float64
        except OverflowError:
            raise Rejected("a number is too large for float64") from None
        off = Dyadic.of(near)
        if off == self or (off > self) == (direction > 0):
            return near
        return math.nextafter(near, direction)


class Float64:
    """Rounded arithmetic; results carry their error bounds."""

    name, exact = "float64", False

    @staticmethod
    def lift(values: np.ndarray) -> np.ndarray:
        return np.asarray(values, dtype=np.float64)

    below = above = lift

    @staticmethod
    def gamma(terms: int) -> float:
        n = (terms + 8) * UNIT
        # What it multiplies is itself a computed sum, which may have come out too small.
        return n / (1 - n) * (1 + 4 * n)


class Exact:
    """Exact dyadic arithmetic on object arrays."""

    name, exact = "dyadic", True

    @staticmethod
    def lift(values: np.ndarray) -> np.ndarray:
        values = np.asarray(values)
        if values.dtype == object:
            return values
        if not np.isfinite(values).all():
            raise Rejected("a number is not finite")
        lifted = np.empty(values.size, dtype=object)
        lifted[:] = [Dyadic.of(v) for v in values.ravel().tolist()]
        return lifted.reshape(values.shape)

    @staticmethod
    def _rounded(values: np.ndarray, direction: float) -> np.ndarray:
        values = np.asarray(values, dtype=object)
        rounded = [Dyadic.of(v).toward(direction) for v in values.ravel().tolist()]
        return np.array(rounded, dtype=np.float64).reshape(values.shape)

    @classmethod
    def below(cls, values: np.ndarray) -> np.ndarray:
        return cls._rounded(values, -math.inf)

    @classmethod
    def above(cls, values: np.ndarray) -> np.ndarray:
        return cls._rounded(values, math.inf)

    @staticmethod
    def gamma(terms: int) -> float:
        return 0.0


ARITHMETICS = MappingProxyType({arithmetic.name: arithmetic for arithmetic in (Float64, Exact)})
