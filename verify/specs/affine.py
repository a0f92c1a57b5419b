"""Inputs that an affine map makes of few parameters:

    {clip(x0 + sum_k p_k B_k) : low_k <= p_k <= high_k}

x0 and the basis B are float numbers, taken exactly; the limits of the parameters may be decimals or fractions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np

from verify.errors import InvalidInput, ShapeMismatch
from verify.query import InputBox
from verify.specs.front import Affine
from verify.specs.numbers import Array, Limits, floats, limits
from verify.specs.region import Piece, Region, box_of


def affine(x0: Array, basis: Array | Sequence[Array], bounds: Sequence[Limits], clip: Limits | None = None) -> Region:
    """x0: any shape; basis: (k, *shape of x0); bounds: (low, high) for each of the k parameters."""
    base, vectors = floats(x0, "x0"), floats(basis, "basis")
    if vectors.shape[1:] != base.shape:
        raise ShapeMismatch(f"basis has shape {list(vectors.shape)}, expected (parameters, *{list(base.shape)})")
    if len(bounds) != len(vectors):
        raise ShapeMismatch(f"basis has {len(vectors)} vectors but there are bounds of {len(bounds)} parameters")
    box = box_of([limits(pair, f"bounds[{k}]") for k, pair in enumerate(bounds)])
    return layered("affine", base, (vectors.reshape(len(vectors), -1),), (box,), clip)


def layered(name: str, x0: np.ndarray, bases: Sequence[np.ndarray], boxes: Sequence[InputBox],
            clip: Limits | None = None, describe: Callable[[np.ndarray], str] | None = None) -> Region:
    """x0 plus the parameters' combination of the sum of `bases` (k, i), on the union of boxes."""
    return Region(name, x0.shape, tuple(Piece(box) for box in boxes), describe=describe,
                  front=Affine(x0.reshape(-1), tuple(bases), valid(clip)))


def valid(clip: Limits | None) -> tuple[float, float] | None:
    """The valid range as constants of a layer."""
    return None if clip is None else tuple(_float(side) for side in limits(clip, "clip"))


def _float(value: Fraction) -> float:
    if Fraction(float(value)) != value:
        raise InvalidInput(f"clip holds {value}, which is no floating-point number (give a float)")
    return float(value)
