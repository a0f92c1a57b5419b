"""McCormick planes: by hand, and against dense samples for many boxes, weights and dtypes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from verify.relaxations.mccormick import corner_intercept, mccormick
from verify.sets import Interval

DTYPES = (torch.float64, torch.float32)


def boxes(count: int, dtype: torch.dtype, seed: int) -> list[Interval]:
    generator = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(2):
        center = torch.randn(1, count, generator=generator, dtype=torch.float64) * 10.0 ** torch.randint(
            -3, 4, (1, count), generator=generator)
        width = 10.0 ** (8 * torch.rand(1, count, generator=generator, dtype=torch.float64) - 5)
        width[:, ::9] = 0
        lower, upper = (center - width).to(dtype), (center + width).to(dtype)
        found.append(Interval(lower, upper))
    return found


def values(plane: tuple[torch.Tensor, ...], at: torch.Tensor, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    first, second = (s.double().numpy().astype(np.longdouble) for s in plane)
    return first * x + second * y + at.double().numpy().astype(np.longdouble)


@pytest.mark.parametrize("dtype", DTYPES)
def test_planes_enclose_the_product(dtype):
    """Exactly as stored, for 3,000 boxes with random weights: corners, edges and inner points in extended precision."""
    a, b = boxes(3000, dtype, 0)
    generator = torch.Generator().manual_seed(1)
    for weights in (None, torch.rand(2, 1, 3000, generator=generator).to(dtype) * 1.2 - 0.1):
        planes = mccormick(a, b, weights)
        for p in (0.0, 0.25, 0.5, 1.0):
            for q in (0.0, 0.3, 0.5, 1.0):
                x = (a.lower + p * (a.upper - a.lower)).clamp(a.lower, a.upper).double().numpy().astype(np.longdouble)
                y = (b.lower + q * (b.upper - b.lower)).clamp(b.lower, b.upper).double().numpy().astype(np.longdouble)
                assert (values(planes.lower_slopes, planes.lower_intercept, x, y) <= x * y).all()
                assert (values(planes.upper_slopes, planes.upper_intercept, x, y) >= x * y).all()


def test_the_planes_touch_the_product_at_corners():
    a, b = Interval(*torch.tensor([[[-1.0]], [[2.0]]]).double()), Interval(*torch.tensor([[[3.0]], [[5.0]]]).double())
    planes = mccormick(a, b, torch.zeros(2, 1, 1).double())
    lower = planes.lower_slopes[0] * -1 + planes.lower_slopes[1] * 5 + planes.lower_intercept
    assert float(lower) == pytest.approx(-5.0)
    assert [float(s) for s in planes.lower_slopes] == [3.0, -1.0] and float(planes.lower_intercept) == pytest.approx(3)


def test_any_slopes_have_a_sound_intercept():
    a, b = boxes(200, torch.float64, 3)
    slopes = tuple(torch.randn(1, 200, generator=torch.Generator().manual_seed(k)).double() for k in (4, 5))
    for lower in (True, False):
        t = corner_intercept(a, b, slopes, lower)
        for x in (a.lower, a.center, a.upper):
            for y in (b.lower, b.center, b.upper):
                line = slopes[0] * x + slopes[1] * y + t
                room = 1e-12 * (1 + (x * y).abs() + (slopes[0] * x).abs() + (slopes[1] * y).abs())
                assert bool((line <= x * y + room).all() if lower else (line >= x * y - room).all())


def test_weights_per_row():
    a, b = boxes(5, torch.float64, 6)
    weights = torch.rand(2, 1, 4, 5, dtype=torch.float64)
    planes = mccormick(a, b, weights)
    single = mccormick(a, b, weights[:, :, 2])
    assert planes.lower_intercept.shape == (1, 4, 5)
    assert torch.equal(planes.upper_slopes[1][:, 2], single.upper_slopes[1])


def test_an_unbounded_box_has_no_planes():
    a, b = Interval(torch.zeros(1, 1), torch.full((1, 1), math.inf)), Interval(torch.zeros(1, 1), torch.ones(1, 1))
    planes = mccormick(a, b)
    assert float(planes.lower_intercept) == -math.inf and float(planes.upper_intercept) == math.inf
    assert all(float(s) == 0 for s in (*planes.lower_slopes, *planes.upper_slopes))
