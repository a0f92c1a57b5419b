"""Every unary primitive against extended precision: values, slopes, intervals, and lines of any slope.

Lines are tried where they may fail: on a grid, and between the neighbours of the point at which the gap is smallest,
again and again. Nothing is allowed to be on the wrong side by any amount.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.conformance.curves import CURVES, WIDE, Array, Case, wide
from verify.ops import SShaped, Step
from verify.relaxations.curve import candidate_slopes, intercept
from verify.sets import Interval

DTYPES = {"float64": torch.float64, "float32": torch.float32}
EACH, DENSE, ZOOM, ROUNDS, TRIALS = 300, 15, 7, 2, 2
SPECIAL = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 2.0**0.5, 2.3993572805154677, torch.pi / 2, torch.pi, 1e-30)

pytestmark = pytest.mark.skipif(np.finfo(WIDE).eps > 1e-18, reason="numpy has no extended precision here")


def power_of_ten(generator: torch.Generator, count: int, low: float, high: float) -> Tensor:
    return 10.0 ** (low + (high - low) * torch.rand(count, generator=generator, dtype=torch.float64))


@cache
def intervals(name: str, dtype: torch.dtype, each: int = EACH, seed: int = 0) -> Interval:
    """(1, 7 each): around 0, far away, one-sided, with ends of every size or where functions bend, and of width 0."""
    generator = torch.Generator().manual_seed(seed)

    def normal(scale: float) -> Tensor:
        return torch.randn(each, generator=generator, dtype=torch.float64) * scale

    center = torch.cat([normal(2), normal(2), normal(10), normal(300), normal(1e-3), normal(3)])
    width = torch.cat([power_of_ten(generator, each, *span) for span in
                       ((-2, 1), (-8, 1), (-1, 2), (-6, 5), (-9, 1), (-14, 0))])
    width[::11] = 0
    lower, upper = (torch.cat([end, normal(1).sign() * power_of_ten(generator, each, -45, 37)])
                    for end in (center - width, center + width))
    for step, end in ((13, lower), (17, upper)):
        special = torch.tensor(SPECIAL, dtype=torch.float64)
        sign = 1 - 2 * torch.randint(2, (len(end[::step]),), generator=generator)
        end[::step] = special[torch.randint(len(special), sign.shape, generator=generator)] * sign
    into = CURVES[name].into
    lower, upper = (into(end).to(dtype).unsqueeze(0) for end in (torch.minimum(lower, upper), lower.maximum(upper)))
    return Interval(lower, upper)


def points(pre: Interval, count: int = DENSE) -> Array:
    """(count, n), from end to end, closer together at the ends."""
    low, high = wide(pre.lower)[0], wide(pre.upper)[0]
    share = (1 - np.cos(np.linspace(0, np.pi, count).astype(WIDE)[:, None])) / 2
    return np.clip(low + share * (high - low), low, high)


def smallest(case: Case, z: Array, values: Array, slope: Array, sign: int, rounds: int = ROUNDS) -> Array:
    """The minimum of sign (f(z) - slope z) per interval, refined around the best point of the grid."""
    with np.errstate(invalid="ignore"):
        gap = sign * (values - slope * z)
    least = np.nanmin(gap, 0)
    for _ in range(rounds):
        k = np.nanargmin(gap, 0)
        column = np.arange(z.shape[1])
        left, right = z[np.maximum(k - 1, 0), column], z[np.minimum(k + 1, len(z) - 1), column]
        # Rounding must not leave the interval.
        z = np.clip(left + np.linspace(0, 1, ZOOM).astype(WIDE)[:, None] * (right - left), left, right)
        with np.errstate(all="ignore"):
            gap = sign * (case.value(z) - slope * z)
        least = np.fmin(least, np.nanmin(gap, 0))
    return least


def values_at(case: Case, z: Array) -> Array:
    with np.errstate(all="ignore"):
        return case.value(z)


def wrong(case: Case, z: Array, values: Array, slope: Tensor, t: Tensor, lower: bool,
          rounds: int = ROUNDS) -> Array:
    """By how much the line leaves its side, per interval: at most 0 when it does not."""
    sign = 1 if lower else -1
    line = sign * wide(t)[0]
    least = smallest(case, z, values, wide(slope)[0], sign, rounds)
    return np.where(line == -np.inf, -1, line - np.where(np.isfinite(line), least, 0))


def slopes_to_try(case: Case, pre: Interval, seed: int = 5) -> tuple[Tensor, Tensor]:
    """(lower, upper), mixed: the candidates, between and beyond them, any size, 0, derivatives of inner points."""
    generator = torch.Generator().manual_seed(seed)
    candidates = candidate_slopes(case.op, pre)

    def uniform() -> Tensor:
        return torch.rand(pre.lower.shape, generator=generator, dtype=torch.float64).to(pre.lower.dtype)

    kind = torch.randint(7, pre.lower.shape, generator=generator)
    found = []
    for first, second in candidates:
        signed = 2 * uniform() - 1
        between = first + (uniform() * 1.5 - 0.25) * (second - first)
        inside = case.op.derivative(pre.lower + uniform() * pre.width).nan_to_num(1.0, 1.0, 1.0)
        sized = signed.sign() * 10 ** (signed.abs() * 25 - 20)
        choices = torch.stack([first, second, between, signed * 3, sized, torch.zeros_like(first), inside])
        found.append(choices.gather(0, kind.unsqueeze(0))[0])
    return found[0], found[1]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CURVES)
def test_values_and_derivatives_within_the_charged_errors(name, dtype):
    case, pre = CURVES[name], intervals(name, DTYPES[dtype])
    x = torch.cat([pre.lower, pre.upper, pre.center], 1)
    x = x[case.op.defined(Interval(x, x)) & torch.isfinite(x)]
    with np.errstate(all="ignore"):
        for computed, charge, exact in (
            (case.op.evaluate(x), case.op.error, case.value(wide(x))),
            (case.op.derivative(x), case.op.derivative_error, case.slope(wide(x))),
        ):
            off, allowed = np.abs(wide(computed) - exact), wide(charge(x, computed))
            assert bool(((off <= allowed) | ~np.isfinite(wide(computed)))[np.isfinite(exact)].all())


def violations(name: str, dtype: torch.dtype, each: int = EACH, seed: int = 0) -> list[str]:
    """What is not enclosed: values by the interval, slopes by their interval, the function by its lines."""
    case, pre = CURVES[name], intervals(name, dtype, each, seed)
    z = points(pre)
    values, nothing, found = values_at(case, z), torch.zeros_like(pre.lower), []

    def note(what: str, by: Array) -> None:
        if not (by <= 0).all():
            k = int(np.nanargmax(np.where(np.isnan(by), np.inf, by)))
            found.append(f"{what} by {by[k]} on [{pre.lower[0, k].item()}, {pre.upper[0, k].item()}]")

    bounds, steep = case.op.interval(pre), case.op.slopes(pre)
    note("below the interval", wrong(case, z, values, nothing, bounds.lower, True))
    note("above the interval", wrong(case, z, values, nothing, bounds.upper, False))
    with np.errstate(all="ignore"):  # inf - inf at the end of a domain
        slope = case.slope(z)
        note("steeper", np.fmax(slope - wide(steep.upper)[0], -1).max(0))
        note("flatter", np.fmax(wide(steep.lower)[0] - slope, -1).max(0))
    for trial in range(TRIALS):
        low, up = slopes_to_try(case, pre, trial + TRIALS * seed)
        note("below the line", wrong(case, z, values, low, intercept(case.op, pre, low, lower=True), True))
        note("above the line", wrong(case, z, values, up, intercept(case.op, pre, up, lower=False), False))
    return found


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CURVES)
def test_enclosed(name, dtype):
    assert bool(CURVES[name].op.defined(intervals(name, DTYPES[dtype])).all())
    assert violations(name, DTYPES[dtype]) == []


def ordinary(name: str, dtype: torch.dtype, count: int = 200) -> Interval:
    """(1, count): not far away, neither narrow nor wide."""
    generator = torch.Generator().manual_seed(3)
    center = torch.randn(count, generator=generator, dtype=torch.float64) * 2
    width = power_of_ten(generator, count, -1.5, 0.9)
    into = CURVES[name].into
    return Interval(into(center - width).to(dtype).unsqueeze(0), into(center + width).to(dtype).unsqueeze(0))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CURVES)
def test_lines_touch(name, dtype):
    """Whatever the slope, the gap at the closest point is rounding."""
    case, pre = CURVES[name], ordinary(name, DTYPES[dtype], 50)
    z = points(pre, 500)
    values = values_at(case, z)
    # A grid may choose the wrong one of two minima that are about equal, and only comes close to a jump.
    allowed = 0.01 if isinstance(case.op, Step) else 1e-5 if dtype == "float64" else 5e-5
    for lower, slope in zip((True, False), slopes_to_try(case, pre), strict=True):
        t = intercept(case.op, pre, slope, lower)
        size = np.abs(values).max(0) + np.abs(wide(slope)[0] * z).max(0) + wide(pre.magnitude)[0] + 1
        assert (-wrong(case, z, values, slope, t, lower, 9) / size <= allowed).all()


@pytest.mark.parametrize("name", [name for name, case in CURVES.items() if not isinstance(case.op, SShaped)])
def test_the_first_slope_is_the_best_at_the_middle(name):
    case, pre = CURVES[name], ordinary(name, torch.float64)
    middle = pre.center
    size = case.op.interval(pre).magnitude + pre.magnitude + 1
    for lower, sign, pair in zip((True, False), (1, -1), candidate_slopes(case.op, pre), strict=True):
        first = sign * (pair[0] * middle + intercept(case.op, pre, pair[0], lower))
        rows = torch.cat([pair[0] + k * (pair[1] - pair[0]) for k in (0.01, 0.1, 0.5, 1)] + [
            case.op.derivative(pre.lower + k / 40 * pre.width) for k in range(1, 40)] + [
            torch.full_like(middle, k / 4) for k in range(-12, 13)]).nan_to_num(0.0, 0.0, 0.0).unsqueeze(0)
        others = sign * (rows * middle + intercept(case.op, pre, rows, lower))
        assert bool((others - first <= 1e-7 * size).all())
