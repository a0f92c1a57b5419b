"""Sigmoid and tanh in float64 with proven errors: values, slopes, and lines that hold on an interval.

Nothing here trusts the accuracy of a library function. With t = exp(-a), a = |x| (tanh: a = 2|x|), u = 2^-53:

    sigmoid(-a) = t / (1 + t)    sigmoid(a) = 1 / (1 + t)    sigmoid'(x) = t / (1 + t)^2
    tanh(|x|) = -m / (2 + m),  m = t - 1                     tanh'(x) = 4 t / (1 + t)^2

exp: k = round(a / ln 2), r = k ln 2 - a, t = 2^-k e^r, where |r| < 0.3467. ln 2 is HIGH + LOW; k HIGH is exact (32 + 10
bits), so r is wrong by at most 0.75 u. e^r = 1 + r q(r), q the Taylor polynomial of degree 12: the truncation is below
0.3467^14 / 14! / (1 - 0.3467 / 15) < 0.04 u; Horner's rule with rounded coefficients is wrong by at most 27 u e^|r|
(Higham 2002, eq. 5.3). Relative to e^r, with e^(2|r|) < 2.001, all this is below 0.76 u + 0.06 u + 54.1 u < 64 u.

A relative error of 64 u in t is at most 64 u in sigmoid and in both derivatives, plus at most 5 u of their own
operations. tanh: for k = 0 (r exact) m = r q has a relative error below 38 u, tanh one below 1.18 x 38 u + 2 u; for
k > 0, t < 0.7072, and the condition number 2t / (1 - t^2) < 2.83 leaves less than 184 u. So, for all of them,

    |computed - exact| <= ERROR |computed| + TINY,   ERROR = 2^-45 = 256 u;

TINY = 2^-1000 covers a > 700, where exp(-700) < 2^-1009 stands for the true value, and underflow.
"""

from __future__ import annotations

import math

import numpy as np

from verify.certificate.checker.errors import Rejected

LN2_HIGH, LN2_LOW = float.fromhex("0x1.62e42feep-1"), float.fromhex("0x1.a39ef35793c76p-33")
COEFFICIENTS = tuple(1.0 / math.factorial(i) for i in range(1, 14))
ERROR, TINY = 2.0**-45, 2.0**-1000
BISECTIONS = 30
Pair = tuple[np.ndarray, np.ndarray]


def _exp(a: np.ndarray) -> Pair:
    """(exp(-a), exp(-a) - 1) for a >= 0; beyond 700 those of 700."""
    a = np.minimum(a, 700.0)
    k = np.rint(a / math.log(2))
    r = (k * LN2_HIGH - a) + k * LN2_LOW
    q = np.full_like(r, COEFFICIENTS[-1])
    for c in reversed(COEFFICIENTS[:-1]):
        q = q * r + c
    t = np.ldexp(1.0 + r * q, -k.astype(np.int64))
    return t, np.where(k == 0, r * q, t - 1.0)


def _function(kind: str, x: np.ndarray) -> Pair:
    """(f(x), f'(x)), each within ERROR relative and TINY absolute; x may be infinite."""
    if kind not in ("sigmoid", "tanh"):
        raise Rejected(f"unknown smooth function {kind!r}; sigmoid and tanh are known")
    a = np.minimum(np.abs(x), 1000.0)
    t, m = _exp(2.0 * a if kind == "tanh" else a)
    y = -m / (2.0 + m) * np.sign(x) if kind == "tanh" else np.where(x < 0, t, 1.0) / (1.0 + t)
    return y, t / (1.0 + t) ** 2 * (4.0 if kind == "tanh" else 1.0)


def _around(y: np.ndarray) -> Pair:
    """An enclosure of what y was computed for: the error, one ulp for each rounding below, is charged outward."""
    charge = np.nextafter(ERROR * np.abs(y), np.inf) + TINY
    return np.nextafter(y - charge, -np.inf), np.nextafter(y + charge, np.inf)


def value(kind: str, x: np.ndarray) -> Pair:
    """Enclosures of f(x) elementwise; x float64, infinities allowed. Raises `Rejected` for NaN."""
    x = np.asarray(x, dtype=np.float64)
    if np.isnan(x).any():
        raise Rejected(f"{kind} of a value that is not a number")
    lower, upper = _around(_function(kind, x)[0])
    return np.maximum(lower, -1.0 if kind == "tanh" else 0.0), np.minimum(upper, 1.0)


def image(kind: str, lower: np.ndarray, upper: np.ndarray) -> Pair:
    """(low, high) with low <= f(z) <= high for lower <= z <= upper: f increases."""
    return value(kind, lower)[0], value(kind, upper)[1]


def slopes(kind: str, lower: np.ndarray, upper: np.ndarray) -> tuple[Pair, Pair]:
    """((first, second) of the lower line, (first, second) of the upper line): candidates, every slope is sound.

    Lower line: convex part only: tangents at the middle and at the upper end; concave part only: the chord; both: the
    chord where it lies below f, else the tangents at d and at the lower end, d the largest point of 30 bisections whose
    tangent passes below (upper, f(upper)). The upper line mirrors this: f(-z) = c - f(z).
    """
    return _lower_slopes(kind, lower, upper), _lower_slopes(kind, -upper, -lower)


def _lower_slopes(kind: str, l: np.ndarray, u: np.ndarray) -> Pair:
    (at_l, steep_l), (at_u, steep_u), (_, middle) = (_function(kind, z) for z in (l, u, l + (u - l) / 2))
    wide = u - l > 1e-6 * (1 + np.maximum(np.abs(l), np.abs(u)))
    chord = np.where(wide, (at_u - at_l) / np.where(wide, u - l, 1.0), middle)
    d, high = np.minimum(l, 0.0), np.zeros_like(l)
    for _ in range(BISECTIONS):
        z = (d + high) / 2
        y, steep = _function(kind, z)
        below = y + steep * (u - z) <= at_u
        d, high = np.where(below, z, d), np.where(below, high, z)
    straight = (l >= 0) | ((u > 0) & (steep_l >= chord))
    first = np.where(straight, chord, np.where(u <= 0, middle, _function(kind, d)[1]))
    return first, np.where(straight, chord, np.where(u <= 0, steep_u, steep_l))


def intercept(kind: str, lower: np.ndarray, upper: np.ndarray, slope: np.ndarray, side: int) -> np.ndarray:
    """t with slope z + t <= f(z) (side -1) or >= f(z) (side +1) for all lower <= z <= upper, whatever the slope.

    All arrays float64 of one shape. Raises `Rejected` unless bounds and slope are finite, in order, and t is finite.
    """
    if not (np.isfinite(lower) & np.isfinite(upper) & np.isfinite(slope) & (lower <= upper)).all():
        raise Rejected(f"a line for {kind} needs finite bounds in order and a finite slope")
    with np.errstate(over="ignore", invalid="ignore"):  # caught below
        if side > 0:  # f(-z) = c - f(z): the mirrored lower line
            t = np.nextafter((0.0 if kind == "tanh" else 1.0) - _below(kind, -upper, -lower, slope), np.inf)
        else:
            t = _below(kind, lower, upper, slope)
    if not np.isfinite(t).all():
        raise Rejected(f"a line for {kind} overflows")
    return t


def _below(kind: str, l: np.ndarray, u: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """At most the minimum of g(z) = f(z) - slope z on [l, u].

    On z >= 0 g is concave: its minimum is at an end. On [a, b] = [l, min(u, 0)] g is convex, above each tangent, at c:
    g(z) >= g(c) + g'(c) (z - c). c comes close to g'(c) = 0 by library functions; soundness does not depend on it.
    There, for slope >= 0, g(z) >= inf f - slope b, too (better on huge intervals).
    """
    a, b = np.minimum(l, 0.0), np.minimum(u, 0.0)
    scale = 2.0 if kind == "tanh" else 1.0  # tanh'(z) = 4 sigmoid'(2 z)
    s = np.clip(slope / scale**2, 1e-300, 0.25)
    p = 2 * s / (1 + np.sqrt(1 - 4 * s))  # p (1 - p) = s
    c = np.clip(np.log(p / (1 - p)) / scale, a, b)
    steep, flat = _around(_function(kind, c)[1])
    rising = np.nextafter(np.maximum(flat - slope, 0.0), np.inf) * np.nextafter(c - a, np.inf)
    falling = np.nextafter(np.maximum(slope - steep, 0.0), np.inf) * np.nextafter(b - c, np.inf)
    loss = np.nextafter(np.maximum(rising, falling), np.inf)
    convex = np.nextafter(_gap(kind, c, slope) - loss, -np.inf)
    least = -1.0 if kind == "tanh" else 0.0
    plain = np.nextafter(least - np.nextafter(slope * b, np.inf), -np.inf)
    convex = np.where((slope >= 0) & (plain > convex), plain, convex)
    ends = np.where(u > 0, _gap(kind, u, slope), np.inf)
    return np.minimum(np.where(l < 0, convex, _gap(kind, l, slope)), ends)


def _gap(kind: str, z: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """At most f(z) - slope z."""
    return np.nextafter(value(kind, z)[0] - np.nextafter(slope * z, np.inf), -np.inf)
