"""Changes of the light in an image x, each affine in its parameters:

    brightness    x + b
    contrast      m + c (x - m),   m a number or the mean of x; m = 0: c x
    both          m + c (x - m) + b
    bias field    x (1 + sum_{a + b <= k} w_ab u^a v^b),   u, v in [-1, 1] the position of a pixel in height and width

References: Mohapatra et al. 2020 (semantic perturbations as layers); Henriksen et al., "Bias field robustness
verification of large neural image classifiers", 2021. Images: (..., height, width), the same change in all channels.
The valid range `clip` is applied last, as cameras do.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from verify.errors import InvalidInput, ShapeMismatch
from verify.specs.affine import layered
from verify.specs.numbers import Array, Limits, Number, floats, limits, radius, rational
from verify.specs.region import Region, box_of

MOST_ORDER = 10


def brightness(x: Array, change: Limits, clip: Limits | None = None) -> Region:
    """x + b for b within `change`."""
    image = floats(x, "x")
    box = box_of([limits(change, "change")])
    return layered("brightness", image, (np.ones((1, image.size)),), (box,), clip, lambda p: f"brightness {p[0]:+g}")


def contrast(x: Array, factor: Limits, about: Number | str = "mean", clip: Limits | None = None) -> Region:
    """m + c (x - m) for c within `factor`; `about` is m, or "mean": the mean of x as a float."""
    return _light("contrast", x, factor, (0, 0), about, clip)


def brightness_contrast(x: Array, change: Limits, factor: Limits, about: Number | str = "mean",
                        clip: Limits | None = None) -> Region:
    """m + c (x - m) + b for b within `change` and c within `factor`."""
    return _light("brightness_contrast", x, factor, change, about, clip)


def bias_field(x: Array, order: int, weight: Number, clip: Limits | None = None) -> Region:
    """Every coefficient w_ab of the field, of `order` at most, within +-weight."""
    image, size = floats(x, "x"), radius(weight, "weight")
    if image.ndim < 2:
        raise ShapeMismatch(f"x has shape {list(image.shape)}; a bias field needs (..., height, width)")
    if not isinstance(order, int) or not 0 <= order <= MOST_ORDER:
        raise InvalidInput(f"order must be a number from 0 to {MOST_ORDER}, got {order!r}")
    u, v = np.meshgrid(*(np.linspace(-1.0, 1.0, n) for n in image.shape[-2:]), indexing="ij")
    powers = [(a, b) for a in range(order + 1) for b in range(order + 1 - a)]
    basis = np.stack([(image * (u**a * v**b)).reshape(-1) for a, b in powers])
    box = box_of([(-size, size)] * len(powers))

    def describe(p: np.ndarray) -> str:
        return "1 " + " ".join(f"{w:+g} u^{a} v^{b}" for w, (a, b) in zip(p, powers, strict=True))

    return layered("bias_field", image, (basis,), (box,), clip, describe)


def _light(name: str, x: Array, factor: Limits, change: Limits, about: Number | str, clip: Limits | None) -> Region:
    """x + (c - 1) (x - m) + b: parameters c - 1 and, if it varies, b. x - m is held as x and -m, two exact terms."""
    image, (low, high) = floats(x, "x"), limits(factor, "factor")
    if low < 0:
        raise InvalidInput(f"factor must not be negative, got {factor}")
    middle = float(image.mean()) if isinstance(about, str) and about == "mean" else _float(about)
    shift = limits(change, "change")
    varies = shift != (Fraction(0), Fraction(0))
    rows = [image.reshape(-1), *([np.ones(image.size)] if varies else [])]
    less = [np.full(image.size, -middle), *([np.zeros(image.size)] if varies else [])]
    box = box_of([(low - 1, high - 1), *([shift] if varies else [])])

    def describe(p: np.ndarray) -> str:
        text = f"contrast x {1 + float(p[0]):g} about {middle:g}"
        return f"{text}, brightness {p[1]:+g}" if varies else text

    return layered(name, image, (np.stack(rows), np.stack(less)), (box,), clip, describe)


def _float(about: Number | str) -> float:
    if isinstance(about, str):
        raise InvalidInput(f'about must be a number or "mean", got {about!r}')
    return float(rational(about, "about"))
