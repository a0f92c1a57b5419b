"""Norm balls around a point, also cut to the valid range:

    {x : ||x - c||_q <= eps, low <= x <= high},   q = 1, 2, infinity

as the box around it and, for q = 2 and 1, a row in every disjunct:

    sum_i x_i^2 - 2 c_i x_i + c_i^2  <=  eps^2        squares are monomials (`verify.monomials`)
    sum_i |x_i - c_i|                <=  eps          a further output (`verify.specs.distance`)

A bound takes a multiplier w >= 0 of the row. Tangents t_i = c_i - A_i / (2 w) of the squares and w = ||A||_2 / (2 eps)
give the dual norm:  min A x = A c - eps ||A||_2.  Half-spaces along the gradients come with the rows
(`verify.specs.support`). Membership of a witness is decided on rationals.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from verify.errors import InvalidInput
from verify.query import InputBox, LinearConstraint, Numbers, exact
from verify.specs.distance import Distance
from verify.specs.numbers import Array, Limits, Number, floats, limits, radius, rationals
from verify.specs.region import Piece, Premise, Region, box_of, square
from verify.specs.support import Ball

ONE = Fraction(1)


def linf_ball(x: Array, eps: Number, clip: Limits | None = None) -> Region:
    """Every entry within `eps` of x, and within `clip`."""
    centre, size = rationals(x, "x"), radius(eps)
    return Region("linf_ball", centre.shape, (Piece(_box(centre, size, clip)),))


def l2_ball(x: Array, eps: Number, clip: Limits | None = None) -> Region:
    """Euclidean distance at most `eps` from x, every entry within `clip`."""
    centre, size = rationals(x, "x"), radius(eps)
    flat = centre.reshape(-1)
    squares = tuple((-1 - k, ONE) for k in range(flat.size))
    row = LinearConstraint(squares, sum(flat**2) - size**2, tuple((k, -2 * c) for k, c in enumerate(flat) if c))
    return Region("l2_ball", centre.shape, (Piece(_box(centre, size, clip), (row,)),),
                  tuple(square(k) for k in range(flat.size)), ball=Ball(flat, size, 2))


def l1_ball(x: Array, eps: Number, clip: Limits | None = None) -> Region:
    """Sum of absolute differences at most `eps` from x, every entry within `clip`."""
    centre, size = rationals(x, "x"), radius(eps)
    flat = centre.reshape(-1)

    def beyond(point: Numbers) -> Fraction:
        return sum(abs(exact(v) - c) for v, c in zip(point, flat, strict=True)) - size

    row = Premise(((0, ONE),), -size, exactly=beyond)
    return Region("l1_ball", centre.shape, (Piece(_box(centre, size, clip), (row,)),),
                  attachments=(Distance(floats(x, "x").reshape(-1)),), ball=Ball(flat, size, 1))


def box(lower: Array, upper: Array) -> Region:
    """lower <= x <= upper, entry by entry."""
    low, high = rationals(lower, "lower"), rationals(upper, "upper")
    if low.shape != high.shape:
        raise InvalidInput(f"lower has shape {list(low.shape)}, upper {list(high.shape)}; expected equal ones")
    for at, value in np.ndenumerate(low):
        if value > high[at]:
            raise InvalidInput(f"lower exceeds upper at index {list(map(int, at))}")
    return Region("box", low.shape, (Piece(box_of(list(zip(low.reshape(-1), high.reshape(-1), strict=True)))),))


def _box(centre: np.ndarray, size: Fraction, clip: Limits | None) -> InputBox:
    return box_of(list(_limits(centre, size, clip)))


def _limits(centre: np.ndarray, size: Fraction, clip: Limits | None) -> Iterator[tuple[Fraction, Fraction]]:
    valid = None if clip is None else limits(clip, "clip")
    for at, value in np.ndenumerate(centre):
        low, high = value - size, value + size
        if valid is not None:
            low, high = max(low, valid[0]), min(high, valid[1])
            if low > high:
                raise InvalidInput(f"x{list(map(int, at))} = {float(value)} is more than eps outside clip {clip}")
        yield low, high
