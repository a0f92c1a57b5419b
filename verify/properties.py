"""Properties built in Python; each returns the `Spec` (unsafe set) that a VNN-LIB file of the same meaning gives.

    robustness     argmax stays `label` on the ball        unsafe: some j with Y_label - Y_j <= 0
    targeted       `target` never scores up to `label`     unsafe: Y_label - Y_target <= 0
    output_range   outputs stay in [out_lower, out_upper]  unsafe: some Y_k < out_lower_k or Y_k > out_upper_k
    linear         A y + b > 0 in every row                unsafe: some row <= 0

Arrays may be numpy, torch or nested sequences of any shape and are flattened in row-major order. Numbers mean exactly
the floats given; the ball x +- eps is computed without rounding error (Knuth's two-sum gives the error of each limit).
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from torch import Tensor

from verify.errors import InvalidInput, ShapeMismatch
from verify.query import Case, Disjunct, InputBox, LinearConstraint, Spec

ArrayLike = np.ndarray | Tensor | list | tuple | float
Clip = tuple[float, float] | None


def robustness(x: ArrayLike, eps: ArrayLike, label: int, outputs: int, clip: Clip = None) -> Spec:
    """The network answers `label` on every point within `eps` of x (l-infinity); a tie counts as unsafe.

    x: any shape (i entries); eps: one number or one per entry of x, >= 0, in the units of x; outputs: number of
    classes; clip: (lo, hi) that the points are also confined to, such as (0, 1). Raises `InvalidInput` or
    `ShapeMismatch`.
    """
    _check_class(label, outputs, "label")
    if outputs < 2:
        raise InvalidInput("robustness needs at least two outputs; with one, use output_range or linear")
    rivals = [j for j in range(outputs) if j != label]
    return _spec(_ball(x, eps, clip), outputs, tuple((_beats(j, label),) for j in rivals))


def targeted(x: ArrayLike, eps: ArrayLike, label: int, target: int, outputs: int, clip: Clip = None) -> Spec:
    """As `robustness`, against one class: no point within `eps` of x scores `target` at least as high as `label`."""
    _check_class(label, outputs, "label")
    _check_class(target, outputs, "target")
    if label == target:
        raise InvalidInput(f"target and label are both {label}; they must differ")
    return _spec(_ball(x, eps, clip), outputs, ((_beats(target, label),),))


def output_range(lower: ArrayLike, upper: ArrayLike, out_lower: ArrayLike, out_upper: ArrayLike) -> Spec:
    """On lower <= x <= upper every output k stays within [out_lower[k], out_upper[k]]; infinite limits mean none."""
    low, high = _vector(out_lower, "out_lower", finite=False), _vector(out_upper, "out_upper", finite=False)
    if low.size != high.size or not low.size:
        raise ShapeMismatch(f"out_lower has {low.size} entries and out_upper {high.size}; they must be equal, not 0")
    if (low > high).any():
        raise InvalidInput(f"out_lower exceeds out_upper at output {int(np.argmax(low > high))}")
    below = [(_row({k: 1.0}, -low[k], strict=True),) for k in range(low.size) if np.isfinite(low[k])]
    above = [(_row({k: -1.0}, high[k], strict=True),) for k in range(low.size) if np.isfinite(high[k])]
    return _spec(_box(lower, upper), low.size, tuple(below + above))


def linear(lower: ArrayLike, upper: ArrayLike, A: ArrayLike, b: ArrayLike) -> Spec:
    """On lower <= x <= upper every row of A y + b is positive. A: (r, o), b: (r,) or one number."""
    matrix = _array(A, "A")
    if matrix.ndim != 2 or not matrix.size:
        raise ShapeMismatch(f"A must have shape (rows, outputs), got {list(matrix.shape)}")
    offset = _vector(b, "b")
    if offset.size not in (1, len(matrix)):
        raise ShapeMismatch(f"A has {len(matrix)} rows but b has {offset.size} entries")
    offset = np.broadcast_to(offset, len(matrix))
    rows = [_row(dict(enumerate(row)), c) for row, c in zip(matrix, offset, strict=True)]
    return _spec(_box(lower, upper), matrix.shape[1], tuple((row,) for row in rows))


def _spec(box: InputBox, outputs: int, disjuncts: tuple[Disjunct, ...]) -> Spec:
    return Spec(box.lower.size, outputs, (Case(box, disjuncts),))


def _row(y: dict[int, float], constant: float, strict: bool = False) -> LinearConstraint:
    terms = tuple((k, Fraction(float(c))) for k, c in y.items() if c != 0)
    return LinearConstraint(terms, Fraction(float(constant)), strict=strict)


def _beats(rival: int, label: int) -> LinearConstraint:
    """Y_label - Y_rival <= 0."""
    return _row({min(rival, label): 1.0 if label < rival else -1.0,
                 max(rival, label): -1.0 if label < rival else 1.0}, 0.0)


def _array(values: ArrayLike, name: str, finite: bool = True) -> np.ndarray:
    """As float64; everything up to float64 converts exactly."""
    if isinstance(values, Tensor):
        values = values.detach().cpu().double().numpy()
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{name} is not an array of numbers: {error}") from error
    bad = ~np.isfinite(array) if finite else np.isnan(array)
    if bad.any():
        where = int(np.flatnonzero(bad.reshape(-1))[0])
        raise InvalidInput(f"{name} holds {array.reshape(-1)[where]} at flat index {where}; expected finite numbers")
    return array


def _vector(values: ArrayLike, name: str, finite: bool = True) -> np.ndarray:
    return _array(values, name, finite).reshape(-1)


def _check_class(index: int, outputs: int, name: str) -> None:
    if not 0 <= index < outputs:
        raise InvalidInput(f"{name} {index} is out of range; with {outputs} outputs it must be 0 to {outputs - 1}")


def _box(lower: ArrayLike, upper: ArrayLike) -> InputBox:
    low, high = _array(lower, "lower"), _array(upper, "upper")
    if low.shape != high.shape or not low.size:
        raise ShapeMismatch(f"lower has shape {list(low.shape)}, upper {list(high.shape)}; expected equal, not empty")
    if (low > high).any():
        raise InvalidInput(f"lower exceeds upper at flat index {int(np.argmax((low > high).reshape(-1)))}")
    return InputBox.from_floats(low, high)


def _ball(x: ArrayLike, eps: ArrayLike, clip: Clip) -> InputBox:
    """{z: |z - x| <= eps, clip[0] <= z <= clip[1]}, exactly."""
    center, radius = _vector(x, "x"), _vector(eps, "eps")
    if not center.size:
        raise ShapeMismatch("x is empty")
    if radius.size not in (1, center.size):
        raise ShapeMismatch(f"eps has {radius.size} entries; expected one, or one per entry of x ({center.size})")
    if (radius < 0).any():
        raise InvalidInput(f"eps must not be negative, got {radius.min()}")
    lower, inner_lower = _sum(center, -radius)
    inner_upper, upper = _sum(center, radius)
    if clip is not None:
        low, high = _vector(clip, "clip") if np.size(clip) == 2 else (np.inf, -np.inf)
        if low > high:
            raise InvalidInput(f"clip must be (lo, hi) with lo <= hi, got {clip}")
        outside = np.flatnonzero((inner_lower > high) | (inner_upper < low))
        if outside.size:
            raise InvalidInput(f"x[{outside[0]}] = {center[outside[0]]} is more than eps outside clip {(low, high)}")
        lower, inner_lower = np.maximum(lower, low), np.maximum(inner_lower, low)
        inner_upper, upper = np.minimum(inner_upper, high), np.minimum(upper, high)
    return InputBox(lower, upper, inner_lower, inner_upper)


def _sum(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """float64 below and above the exact a + b: s = fl(a + b), and two-sum gives a + b - s exactly (Knuth, TAOCP 2)."""
    with np.errstate(over="ignore", invalid="ignore"):
        s = a + b
        part = s - a
        error = (a - (s - part)) + (b - part)
    if not (np.isfinite(s) & np.isfinite(error)).all():
        raise InvalidInput("x and eps are too large for float64")
    return np.where(error < 0, np.nextafter(s, -np.inf), s), np.where(error > 0, np.nextafter(s, np.inf), s)
