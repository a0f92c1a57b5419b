"""Every relaxation encloses its function: dense grids on thousands of intervals, evaluated in extended precision."""

import numpy as np
import pytest
import torch

from verify.ops import Relu, Sigmoid, Tanh
from verify.relaxations import LOWER_SLOPES, relu_lines
from verify.relaxations.s_shaped import exact_intercept, s_shaped_lines
from verify.sets import Interval

DTYPES = (torch.float64, torch.float32)
OPS = (Sigmoid(), Tanh())


def intervals(count: int, dtype: torch.dtype) -> Interval:
    """(1, 4 count): around 0, far away, tiny and huge, one-sided, across, and of width 0."""
    generator = torch.Generator().manual_seed(0)

    def normal():
        return torch.randn(count, generator=generator, dtype=torch.float64)

    def power(n, low, span):
        return 10.0 ** (torch.rand(n, generator=generator, dtype=torch.float64) * span + low)

    center = torch.cat([normal() * 3, normal() * 30, normal() * 1e4, normal() * 1e-3])
    width = power(4 * count, -8, 12)
    width[::7] = 0
    lower, upper = center - width, center + width
    lower[::5], upper[::5] = -power(len(lower[::5]), -4, 8), power(len(lower[::5]), -4, 8)
    lower, upper = lower.to(dtype), upper.to(dtype)
    return Interval(lower.unsqueeze(0), torch.maximum(lower, upper).unsqueeze(0))


def grid(pre: Interval, *more: torch.Tensor) -> torch.Tensor:
    """Points of the intervals (k, 1, count), float64: evenly spread, and where the functions bend."""
    low, high = pre.lower.double(), pre.upper.double()
    near = torch.tensor([-40, -20, -10, -5, -2, -1, -0.5, -0.1, -0.01, 0, 0.01, 0.1, 0.5, 1, 2, 5, 10, 20, 40])
    points = [low + torch.linspace(0, 1, 101, dtype=torch.float64).reshape(-1, 1, 1) * (high - low),
              near.double().reshape(-1, 1, 1).expand(-1, 1, low.shape[1]), *more]
    return torch.cat(points).maximum(low).minimum(high)


def wide(t: torch.Tensor) -> np.ndarray:
    return t.double().numpy().astype(np.longdouble)


def exactly(op, z: torch.Tensor) -> np.ndarray:
    """The function in extended precision."""
    x = wide(z)
    if isinstance(op, Relu):
        return np.maximum(x, 0)
    if isinstance(op, Tanh):
        return np.tanh(x)
    decay = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, decay) / (1 + decay)


def assert_enclosed(op, z, lower_slope, lower_intercept, upper_slope, upper_intercept):
    values, x = exactly(op, z), wide(z)
    assert (wide(lower_slope) * x + wide(lower_intercept) <= values).all()
    assert (wide(upper_slope) * x + wide(upper_intercept) >= values).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rule", LOWER_SLOPES)
def test_relu(rule, dtype):
    pre = intervals(1500, dtype)
    lines = relu_lines(pre, rule=rule)
    assert_enclosed(Relu(), grid(pre), lines.lower_slope, torch.zeros_like(pre.lower), lines.upper_slope,
                    lines.upper_intercept)


@pytest.mark.parametrize("dtype", DTYPES)
def test_relu_close_to_0_and_to_overflow(dtype):
    tiny, huge = torch.finfo(dtype).tiny, torch.finfo(dtype).max / 4
    ends = torch.tensor([tiny, 1e-20, 1e-7, 1.0, 3.3, 1e7, huge], dtype=dtype)
    low, high = torch.cartesian_prod(-ends, ends).T.unsqueeze(1)
    pre = Interval(low, high)
    lines = relu_lines(pre)
    x = grid(pre)
    spare = float(tiny)  # a product below the normal range may be flushed
    assert (wide(lines.upper_slope) * wide(x) + wide(lines.upper_intercept) + spare >= exactly(Relu(), x)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("choice", [0, 1])
@pytest.mark.parametrize("op", OPS, ids=lambda op: type(op).__name__)
def test_s_shaped(op, choice, dtype):
    pre = intervals(1500, dtype)
    lines = s_shaped_lines(op, pre, choice)
    assert_enclosed(op, grid(pre), lines.lower_slope, lines.lower_intercept, lines.upper_slope, lines.upper_intercept)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1e-20, 1e-8, 1e-3, 0.25, 1.0, 10.0])
@pytest.mark.parametrize("op", OPS, ids=lambda op: type(op).__name__)
def test_intercepts_of_any_slope(op, scale, dtype):
    """Negative slopes and slopes beyond the largest derivative included."""
    pre = intervals(400, dtype)
    slope = torch.randn(pre.lower.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * scale
    slope = slope.to(dtype)
    stationary = op.stationary(slope, slope, slope, convex=False).double().unsqueeze(0)
    z = grid(pre, *(sign * stationary + shift for sign in (1, -1) for shift in (0, 1e-4, -1e-4)))
    low, high = exact_intercept(op, pre, slope, lower=True), exact_intercept(op, pre, slope, lower=False)
    assert_enclosed(op, z, slope, low, slope, high)


@pytest.mark.parametrize("op", OPS, ids=lambda op: type(op).__name__)
def test_slopes_next_to_the_largest_derivative(op):
    peak = 0.25 if isinstance(op, Sigmoid) else 1.0
    steps = torch.arange(-300, 301, dtype=torch.float64)
    slope = (peak * (1 + steps * torch.finfo(torch.float64).eps)).unsqueeze(0)
    for radius in (1e-6, 1e-3, 1.0, 5.0):
        pre = Interval(torch.full_like(slope, -radius), torch.full_like(slope, radius))
        low, high = exact_intercept(op, pre, slope, lower=True), exact_intercept(op, pre, slope, lower=False)
        assert_enclosed(op, grid(pre), slope, low, slope, high)
