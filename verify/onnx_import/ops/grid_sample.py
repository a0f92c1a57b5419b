"""GridSample at constant positions: each output is a weighted sum of the pixels around its position.

A grid entry g in [-1, 1] is the pixel (g + 1) (n - 1) / 2 with `align_corners`, else ((g + 1) n - 1) / 2. Linear and
cubic interpolation weigh the neighbours along every axis (`verify.onnx_import.kernels`).
"""

from __future__ import annotations

import itertools
from types import MappingProxyType

import numpy as np

from verify.errors import ShapeMismatch
from verify.onnx_import.call import Call, Variable
from verify.onnx_import.kernels import cubic, linear
from verify.onnx_import.registry import importer
from verify.onnx_import.taps import Tap, tapped

OLD_NAMES = MappingProxyType({"bilinear": "linear", "bicubic": "cubic"})
REACH = MappingProxyType({"nearest": (0,), "linear": (0, 1), "cubic": (-1, 0, 1, 2)})


@importer("GridSample", since=16)
def grid_sample(call: Call) -> Variable:
    x, grid = call.variable(0), call.weight(1, "grid").numpy()
    if grid.ndim != x.rank or grid.shape[-1] != x.rank - 2 or grid.shape[0] != x.shape[0]:
        raise ShapeMismatch(f"a grid of shape {list(grid.shape)} does not fit a value of shape {list(x.shape)}")
    mode = call.text("mode", "linear")
    mode = OLD_NAMES.get(mode, mode)
    if mode not in REACH:
        raise call.refuse(f"mode {mode}; {', '.join(REACH)} would be accepted")
    axes = []
    for k, size in enumerate(x.shape[2:]):
        # The last coordinate of the grid belongs to the first spatial axis.
        g = grid[..., -1 - k] + 1
        position = g * (size - 1) / 2 if call.attribute("align_corners", 0) else (g * size - 1) / 2
        axes.append(_along(call, mode, size, position))
    return tapped(call, x, [_tap(x, taps) for taps in itertools.product(*axes)])


def _along(call: Call, mode: str, size: int, position: np.ndarray) -> list[Tap]:
    """Indices (-1: outside) and weights of all taps along one axis, each of the grid's shape."""
    padding = call.text("padding_mode", "zeros")
    # Cubic interpolation moves the pixels that it reads into the image, the others the position itself.
    if mode != "cubic":
        position = _inside(call, padding, size, position)
    base = np.rint(position) if mode == "nearest" else np.floor(position)
    found = []
    for step in REACH[mode]:
        pixel = base + step
        kernel = cubic if mode == "cubic" else linear
        weight = np.ones_like(pixel) if mode == "nearest" else kernel(position - pixel)
        pixel = _inside(call, padding, size, pixel)
        found.append((np.where((pixel >= 0) & (pixel < size), pixel, -1).astype(np.int64), weight))
    return found


def _inside(call: Call, padding: str, size: int, position: np.ndarray) -> np.ndarray:
    """Positions outside of the image moved into it: to the border, or reflected at it."""
    if padding == "zeros":
        return position
    if padding == "border":
        return np.clip(position, 0, size - 1)
    if padding != "reflection":
        raise call.refuse(f"padding_mode {padding}; zeros, border and reflection would be accepted")
    low, high = (0.0, size - 1.0) if call.attribute("align_corners", 0) else (-0.5, size - 0.5)
    if high == low:
        return np.zeros_like(position)
    span = high - low
    away = np.mod(position - low, 2 * span)
    return np.clip(low + np.where(away > span, 2 * span - away, away), 0, size - 1)


def _tap(x: Variable, taps: tuple[Tap, ...]) -> Tap:
    """One combination of taps along all spatial axes, for all images and channels."""
    batch, channels, *sizes = x.shape
    flat, weight = np.zeros(taps[0][0].shape, dtype=np.int64), np.ones(taps[0][0].shape)
    hidden = np.zeros(flat.shape, dtype=bool)
    for (index, part), size in zip(taps, sizes, strict=True):
        flat, weight, hidden = flat * size + index, weight * part, hidden | (index < 0)
    pixels = int(np.prod(sizes))
    lead = np.arange(batch * channels).reshape(batch, channels, *(1 for _ in sizes)) * pixels
    found = np.where(hidden[:, None], -1, lead + flat[:, None])
    return found, np.broadcast_to(weight[:, None], found.shape)
