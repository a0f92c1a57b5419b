"""Resize and Upsample: linear maps along every axis that changes size. Nearest neighbours are a `Gather`, linear and
cubic interpolation are matrices.

Output i lies at a source position p (exact fractions), with scale f = out / in as it is given:

    asymmetric            i / f                            half_pixel             (i + 1/2) / f - 1/2
    align_corners         i (in - 1) / (out - 1)           pytorch_half_pixel     the same, 0 when out = 1
    half_pixel_symmetric  (i + 1/2) / f - 1/2 + (1 - out / (in f)) in / 2
    tf_crop_and_resize    s (in - 1) + i (e - s) (in - 1) / (out - 1) in the region [s, e]; its middle when out = 1

Positions outside of the image read its border, or `extrapolation_value` with tf_crop_and_resize. Interpolation weighs
the neighbours with a kernel k(p - q) (`verify.onnx_import.kernels`); `antialias` stretches it by 1 / f where f < 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

import numpy as np

from verify.errors import InvalidInput
from verify.onnx_import.axes import along_axis
from verify.onnx_import.call import Call, Variable
from verify.onnx_import.kernels import cubic, linear
from verify.onnx_import.registry import importer

HALF = Fraction(1, 2)
ROUNDING: Mapping[str, Callable[[Fraction], int]] = MappingProxyType({
    "": math.floor,
    "floor": math.floor,
    "ceil": math.ceil,
    "round_prefer_floor": lambda p: math.ceil(p - HALF),
    "round_prefer_ceil": lambda p: math.floor(p + HALF),
})


@dataclass(frozen=True)
class _Axis:
    """One axis: sizes, scale, and the region that tf_crop_and_resize shows."""

    axis: int
    size: int
    out: int
    scale: Fraction
    start: Fraction = Fraction(0)
    end: Fraction = Fraction(1)


def _positions(call: Call, mode: str, a: _Axis) -> list[Fraction]:
    """Source positions of all outputs along one axis."""
    outputs = range(a.out)
    if mode == "asymmetric":
        return [i / a.scale for i in outputs]
    if mode == "align_corners":
        return [Fraction(i * (a.size - 1), a.out - 1) if a.out > 1 else Fraction(0) for i in outputs]
    if mode == "tf_crop_and_resize":
        if a.out == 1:
            return [HALF * (a.start + a.end) * (a.size - 1)]
        return [a.start * (a.size - 1) + i * (a.end - a.start) * (a.size - 1) / (a.out - 1) for i in outputs]
    if mode == "tf_half_pixel_for_nn":
        return [(i + HALF) / a.scale for i in outputs]
    if mode == "pytorch_half_pixel" and a.out == 1:
        return [Fraction(0)]
    shift = Fraction(0)
    if mode == "half_pixel_symmetric":
        shift = (1 - Fraction(a.out) / (a.size * a.scale)) * a.size / 2
    elif mode not in ("half_pixel", "pytorch_half_pixel"):
        raise call.refuse(f"coordinate_transformation_mode {mode}")
    return [shift + (i + HALF) / a.scale - HALF for i in outputs]


def _matrix(call: Call, a: _Axis, positions: Sequence[Fraction]) -> np.ndarray:
    """(out, in) interpolation weights."""
    wide = call.text("mode", "nearest") == "cubic"
    stretch = min(1.0, float(a.scale)) if call.attribute("antialias", 0) else 1.0
    reach = math.ceil((2 if wide else 1) / stretch)
    matrix = np.zeros((a.out, a.size))
    for row, position in zip(matrix, positions, strict=True):
        taps = np.arange(math.floor(position) - reach, math.floor(position) + reach + 2)
        offset = (np.array([float(position - int(tap)) for tap in taps])) * stretch
        weights = cubic(offset, call.attribute("cubic_coeff_a", -0.75)) if wide else linear(offset)
        inside = (taps >= 0) & (taps < a.size)
        if call.attribute("exclude_outside", 0) or stretch < 1.0:
            weights = np.where(inside, weights, 0) if call.attribute("exclude_outside", 0) else weights
            weights = weights / weights.sum()
        np.add.at(row, np.clip(taps, 0, a.size - 1), weights)
    return matrix


def _resize(call: Call, axes: Sequence[_Axis], coordinates: str, rounding: str) -> Variable:
    x, mode = call.variable(0), call.text("mode", "nearest")
    if mode not in ("nearest", "linear", "cubic") or rounding not in ROUNDING:
        raise call.refuse(f"mode {mode} ({rounding}); nearest, linear and cubic would be accepted")
    outside = call.attribute("extrapolation_value", 0.0)
    for a in axes:
        cropped = coordinates == "tf_crop_and_resize"
        if a.out == a.size and a.scale == 1 and not (cropped and (a.start, a.end) != (0, 1)):
            continue
        positions = _positions(call, coordinates, a)
        hidden = np.array([cropped and not 0 <= p <= a.size - 1 for p in positions])
        if mode == "nearest":
            source = np.array([min(max(ROUNDING[rounding](p), 0), a.size - 1) for p in positions])
            x = _picked(call, x, a.axis, source, hidden, outside)
        else:
            matrix = np.where(hidden[:, None], 0.0, _matrix(call, a, positions))
            x = along_axis(call, x, a.axis, matrix, outside * hidden if hidden.any() else None)
    return x


def _picked(
    call: Call, x: Variable, axis: int, source: np.ndarray, hidden: np.ndarray, outside: float
) -> Variable:
    def picked(index: np.ndarray) -> np.ndarray:
        found = np.moveaxis(np.take(index, source, axis), axis, -1)
        return np.moveaxis(np.where(hidden, -1, found), -1, axis)

    return call.rearrange(x, picked, outside)


def _by_scale(call: Call, axes: Sequence[int], scales: Sequence[float], roi: Sequence[float] = ()) -> list[_Axis]:
    """Output sizes floor(size * scale), or floor(size * (end - start) * scale) with a region."""
    shape, found = call.variable(0).shape, []
    if len(scales) != len(axes) or min(scales, default=1.0) <= 0:
        raise InvalidInput(f"{call}: scales {list(scales)} do not fit {len(axes)} axes")
    for k, (axis, scale) in enumerate(zip(axes, scales, strict=True)):
        part = (_exact(roi[k]), _exact(roi[k + len(axes)])) if len(roi) else (Fraction(0), Fraction(1))
        out = math.floor(shape[axis] * (part[1] - part[0]) * Fraction(scale))
        found.append(_Axis(axis, shape[axis], out, Fraction(scale), *part))
    return found


def _exact(number: float) -> Fraction:
    """A number of a file, which writes 0.6 as the nearest float32."""
    return Fraction(str(np.float32(number)))


def _by_size(call: Call, axes: Sequence[int], sizes: Sequence[int], roi: Sequence[float]) -> list[_Axis]:
    shape, policy = call.variable(0).shape, call.text("keep_aspect_ratio_policy", "stretch")
    if len(sizes) != len(axes) or min(sizes) <= 0:
        raise InvalidInput(f"{call}: sizes {list(sizes)} do not fit {len(axes)} axes")
    scales = [Fraction(size, shape[axis]) for axis, size in zip(axes, sizes, strict=True)]
    if policy != "stretch":
        scale = min(scales) if policy == "not_larger" else max(scales)
        scales = [scale] * len(axes)
        sizes = [math.floor(shape[axis] * scale + HALF) for axis in axes]
    found = []
    for k, (axis, size, scale) in enumerate(zip(axes, sizes, scales, strict=True)):
        part = (_exact(roi[k]), _exact(roi[k + len(axes)])) if len(roi) else (Fraction(0), Fraction(1))
        found.append(_Axis(axis, shape[axis], size, scale, *part))
    return found


@importer("Upsample", since=7)
def upsample_attribute(call: Call) -> Variable:
    scales = call.attribute("scales")
    return _resize(call, _by_scale(call, range(len(scales)), scales), "asymmetric", "floor")


@importer("Upsample", since=9)
@importer("Resize", since=10)
def upsample_input(call: Call) -> Variable:
    scales = call.known(1, "scale").tolist()
    return _resize(call, _by_scale(call, range(len(scales)), scales), "asymmetric", "floor")


@importer("Resize", since=11)
def resize(call: Call) -> Variable:
    rank = call.variable(0).rank
    axes = [call.axis(a, rank) for a in call.attribute("axes") or range(rank)]
    coordinates = call.text("coordinate_transformation_mode", "half_pixel")
    roi = call.known(1, "region").reshape(-1) if call.has(1) and coordinates == "tf_crop_and_resize" else ()
    sizes = call.integers(3, "sizes")
    found = _by_size(call, axes, sizes, roi) if sizes else _by_scale(call, axes, call.known(2, "scale").tolist(), roi)
    if any(a.out == 0 for a in found):
        raise call.refuse("its output is empty")
    return _resize(call, found, coordinates, call.text("nearest_mode", "round_prefer_floor"))
