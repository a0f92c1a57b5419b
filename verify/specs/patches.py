"""A rectangle of an image is replaced, wherever it may lie:

    patch        every pixel of the rectangle is free in the valid range, all others stay
    occlusion    x + a (value - x) on the rectangle, opacity a in [low, high]: 1 covers it

One piece for each position (of a stride): a union, never a hull. Images: (..., height, width); a rectangle covers all
channels. References: Chiang et al., "Certified Defenses for Adversarial Patches", 2020; Mohapatra et al. 2020.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from verify.errors import InvalidInput, ShapeMismatch
from verify.query import InputBox
from verify.specs.affine import layered
from verify.specs.numbers import Array, Limits, Number, floats, limits, rational, rationals
from verify.specs.region import Piece, Region, box_of


def patch(x: Array, size: tuple[int, int], valid: Limits, stride: int = 1) -> Region:
    """A rectangle of `size` (height, width) with pixels anywhere in `valid`."""
    image, free = rationals(x, "x"), limits(valid, "valid")
    point, anything = box_of([(value, value) for value in image.reshape(-1)]), box_of([free])
    pieces = tuple(Piece(_where(block, anything, point)) for block in _blocks(image.shape, size, stride))
    return Region("patch", image.shape, pieces)


def occlusion(x: Array, size: tuple[int, int], value: Number, opacity: Limits = (0, 1), stride: int = 1) -> Region:
    """A rectangle of `size` (height, width) of colour `value`, with all opacities of a range within [0, 1]."""
    image, (low, high) = floats(x, "x"), limits(opacity, "opacity")
    colour = float(rational(value, "value"))
    if low < 0 or high > 1:
        raise InvalidInput(f"opacity must lie within (0, 1), got {opacity}")
    blocks = list(_blocks(image.shape, size, stride))
    masks = np.stack(blocks).astype(np.float64)
    shown, nothing = box_of([(low, high)]), InputBox.from_floats(np.zeros(1), np.zeros(1))
    boxes = [_where(chosen, shown, nothing) for chosen in np.eye(len(blocks), dtype=bool)]

    def describe(p: np.ndarray) -> str:
        chosen = int(np.argmax(p))
        flat = int(np.flatnonzero(blocks[chosen])[0]) % (image.shape[-2] * image.shape[-1])
        row, column = divmod(flat, image.shape[-1])
        return f"occluded by {p[chosen]:g} from row {row}, column {column}"

    # value - x is held as two exact terms.
    return layered("occlusion", image, (masks * colour, masks * -image.reshape(-1)), boxes, None, describe)


def _where(mask: np.ndarray, inside: InputBox, outside: InputBox) -> InputBox:
    """The limits of one box inside a mask, those of another outside."""
    return InputBox(*(np.where(mask, getattr(inside, side), getattr(outside, side))
                      for side in ("lower", "upper", "inner_lower", "inner_upper")))


def _blocks(shape: tuple[int, ...], size: tuple[int, int], stride: int) -> Iterator[np.ndarray]:
    """Flat masks of the rectangle at every position."""
    if len(shape) < 2:
        raise ShapeMismatch(f"x has shape {list(shape)}; a rectangle needs (..., height, width)")
    if np.size(size) != 2 or not all(isinstance(n, int) and 1 <= n <= m
                                     for n, m in zip(size, shape[-2:], strict=True)):
        raise InvalidInput(f"size must be (height, width) from 1 up to {tuple(shape[-2:])}, got {size!r}")
    if not isinstance(stride, int) or stride < 1:
        raise InvalidInput(f"stride must be a positive number of pixels, got {stride!r}")
    for row in range(0, shape[-2] - size[0] + 1, stride):
        for column in range(0, shape[-1] - size[1] + 1, stride):
            mask = np.zeros(shape, dtype=bool)
            mask[..., row : row + size[0], column : column + size[1]] = True
            yield mask.reshape(-1)
