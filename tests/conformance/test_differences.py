"""Differences of every curve at two points: intervals and planes enclose them in extended precision, for boxes of every
size, one-sided differences, and slopes that nobody would choose."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.conformance.curves import CURVES, WIDE, Case, wide
from verify.ops.difference import Difference
from verify.relaxations.difference import difference_planes, intercept
from verify.sets import Interval

DTYPES = {"float64": torch.float64, "float32": torch.float32}
BOXES, POINTS = 260, 12

pytestmark = pytest.mark.skipif(np.finfo(WIDE).eps > 1e-18, reason="numpy has no extended precision here")


def boxes(case: Case, dtype: torch.dtype, count: int = BOXES, seed: int = 0) -> tuple[Interval, Interval]:
    """Values and differences, (1, count) each: of every size, across 0, on one side of it, or a single number."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    def sizes(*choice: float) -> torch.Tensor:
        return torch.tensor(choice, dtype=torch.float64)[torch.randint(len(choice), (count,), generator=generator)]

    ends = draw(count) * sizes(0.1, 1, 3, 30) + draw(2, count) * sizes(0, 1e-6, 0.01, 0.3, 3)
    v = case.into(ends.sort(0).values).to(dtype)
    room = 1 + v.abs().amax(0).double()
    d = draw(2, count) * sizes(1e-12, 1e-6, 1e-3, 0.1, 1) * room.clamp(max=3)
    d[0, ::5], d[1, ::7], d[:, ::31] = 0, 0, 0
    v, d = (end.sort(0).values.to(dtype).unsqueeze(1) for end in (v, d))
    return Interval(v[0], v[1]), Interval(d[0], d[1])


def truth(case: Case, v: Interval, d: Interval) -> tuple[np.ndarray, ...]:
    """Points x and y of the boxes (points, count), the difference there, and how far off it may be computed; NaN where
    the function is not defined."""
    shares = np.random.default_rng(1).random((2, POINTS, v.lower.shape[1])).astype(WIDE)
    shares[:, :4] = np.array([[0, 0, 1, 1], [0, 1, 0, 1]])[:, :, None]
    x, y = (wide(i.lower) + s * (wide(i.upper) - wide(i.lower)) for s, i in zip(shares, (v, d), strict=True))
    with np.errstate(all="ignore"):
        first, second = case.value(x), case.value(x - y)
        off = 1e-17 * (abs(first) + abs(second) + abs(case.slope(x - y)) * (abs(x) + abs(y)) + abs(x) + abs(y))
        return x, y, first - second, np.nan_to_num(off, nan=0.0, posinf=0.0)


def wrong(below: np.ndarray, above: np.ndarray, off: np.ndarray) -> int:
    with np.errstate(all="ignore"):
        return int((below > above + off).sum())


def violations(name: str, dtype: str, count: int = BOXES, seed: int = 0) -> int:
    """How often an interval or a plane is beyond the difference at a point of `count` boxes; a laboratory may ask for
    many more."""
    case, kind = CURVES[name], DTYPES[dtype]
    v, d = boxes(case, kind, count, seed)
    x, y, values, off = truth(case, v, d)
    op = Difference(case.op)
    image = op.interval(v, d)
    found = wrong(wide(image.lower), values, off) + wrong(values, wide(image.upper), off)
    generator = torch.Generator().manual_seed(seed + 3)
    p, q = (torch.randn(2, *v.lower.shape, generator=generator, dtype=torch.float64) * 2).to(kind)
    sides = [((p, q), intercept(op, v, d, (p, q), lower), lower) for lower in (True, False)]
    for weights in (None, torch.full((2, *v.lower.shape), 0.4, dtype=kind)):
        planes = difference_planes(op, v, d, weights)
        sides += [(planes.lower_slopes, planes.lower_intercept, True),
                  (planes.upper_slopes, planes.upper_intercept, False)]
    for slopes, t, lower in sides:
        found += int((~torch.isfinite(torch.stack(slopes))).sum() + t.isnan().sum())
        with np.errstate(all="ignore"):
            plane = wide(slopes[0]) * x + wide(slopes[1]) * y + wide(t)
        found += wrong(*((plane, values) if lower else (values, plane)), off)
    return found


@pytest.mark.parametrize(("name", "dtype"), [(name, tuple(DTYPES)[k % 2]) for k, name in enumerate(CURVES)])
def test_enclosed(name, dtype):
    assert not violations(name, dtype)


@pytest.mark.parametrize("name", ["exp", "tanh", "sin", "gelu", "power-2", "elu-2", "softplus"])
def test_close_points_have_close_planes(name):
    """A difference of at most 1e-6 is bounded by about 1e-6 times the steepest slope, not by the range of the curve."""
    case = CURVES[name]
    v = Interval(*(torch.full((1, 1), end, dtype=torch.float64) for end in (-2.0, 2.0)))
    d = Interval(*(torch.full((1, 1), end, dtype=torch.float64) for end in (-1e-6, 1e-6)))
    planes, steep = difference_planes(Difference(case.op), v, d), float(case.op.steepness(Interval(v.lower - 1, v.upper
                                                                                                    + 1)).max())
    low, high = (t + slopes[0] * v.center + slopes[1] * d.center for slopes, t in
                 ((planes.lower_slopes, planes.lower_intercept), (planes.upper_slopes, planes.upper_intercept)))
    assert -1.01e-6 * steep <= float(low) <= 0 <= float(high) <= 1.01e-6 * steep
