"""Upsample and Resize, nearest neighbour, by integer factors: y[i] = x[rounded(source position of i)].

Positions are exact fractions. Per axis with factor f = out / in: asymmetric i / f, half_pixel (i + 1/2) / f - 1/2
(pytorch_half_pixel: 0 when out = 1), align_corners i (in - 1) / (out - 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from types import MappingProxyType

import numpy as np

from verify.onnx_import.call import Call, Variable
from verify.onnx_import.registry import importer

HALF = Fraction(1, 2)
ROUNDING: Mapping[str, Callable[[Fraction], int]] = MappingProxyType({
    "floor": math.floor,
    "ceil": math.ceil,
    "round_prefer_floor": lambda p: math.ceil(p - HALF),
    "round_prefer_ceil": lambda p: math.floor(p + HALF),
})


def _position(mode: str, i: int, size: int, out: int) -> Fraction | None:
    if mode == "asymmetric":
        return Fraction(i * size, out)
    if mode == "align_corners":
        return Fraction(i * (size - 1), out - 1) if out > 1 else Fraction(0)
    if mode == "half_pixel" or (mode == "pytorch_half_pixel" and out > 1):
        return (i + HALF) * Fraction(size, out) - HALF
    return Fraction(0) if mode == "pytorch_half_pixel" else None


def _nearest(call: Call, sizes: Sequence[int], coordinates: str, rounding: str) -> Variable:
    x = call.variable(0)
    if call.text("mode", "nearest") != "nearest" or rounding not in ROUNDING:
        raise call.refuse(f"mode {call.text('mode', 'nearest')} ({rounding}); nearest would be accepted")
    if len(sizes) != x.rank or any(out <= 0 or out % size for out, size in zip(sizes, x.shape, strict=False)):
        raise call.refuse(f"from {list(x.shape)} to {list(sizes)}; integer factors would be accepted")

    def resized(index: np.ndarray) -> np.ndarray:
        for axis, (size, out) in enumerate(zip(x.shape, sizes, strict=True)):
            positions = [_position(coordinates, i, size, out) for i in range(out)] if size != out else []
            if None in positions:
                raise call.refuse(f"coordinate_transformation_mode {coordinates}")
            if positions:
                source = [min(max(ROUNDING[rounding](p), 0), size - 1) for p in positions]
                index = np.take(index, source, axis)
        return index

    return call.rearrange(x, resized)


def _scaled(call: Call, scales: Sequence[float]) -> list[int]:
    """Output sizes floor(size * scale); a scale that is no whole number is refused (as size 0)."""
    whole = all(float(scale).is_integer() for scale in scales)
    return [int(n * s) if whole else 0 for n, s in zip(call.variable(0).shape, scales, strict=False)]


@importer("Upsample", since=7)
def upsample_attribute(call: Call) -> Variable:
    return _nearest(call, _scaled(call, call.attribute("scales")), "asymmetric", "floor")


@importer("Upsample", since=9)
@importer("Resize", since=10)
def upsample_input(call: Call) -> Variable:
    return _nearest(call, _scaled(call, call.known(1, "scale").tolist()), "asymmetric", "floor")


@importer("Resize", since=11)
def resize(call: Call) -> Variable:
    if call.attribute("axes"):
        raise call.refuse("the attribute axes; scales or sizes for all axes would be accepted")
    sizes = call.integers(3, "sizes")
    if not sizes:
        sizes = _scaled(call, call.known(2, "scale").tolist())
    coordinates = call.text("coordinate_transformation_mode", "half_pixel")
    return _nearest(call, sizes, coordinates, call.text("nearest_mode", "round_prefer_floor"))
