"""Relaxations enclose their functions: lines of ReLU, sigmoid and tanh on random intervals, for any slope that an
optimiser may choose, evaluated in extended precision.

A case is one tensor of intervals with one rule for the slopes; its points are a grid, the places where the functions
bend, and the points where function and line are parallel.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from benchmarks.soundness.experiment import Experiment
from benchmarks.soundness.tally import Recorder, Tally
from verify.ops import Op, Relu, Sigmoid, Tanh
from verify.relaxations import LOWER_SLOPES, Lines, relu_lines, s_shaped_lines
from verify.relaxations.s_shaped import exact_intercept, s_shaped_slopes
from verify.sets import Interval

COUNT, GRID = 64, 41
BENDS = (-40, -20, -10, -5, -3, -2, -1, -0.5, -0.1, -0.01, 0, 0.01, 0.1, 0.5, 1, 2, 3, 5, 10, 20, 40)
DTYPES = (torch.float64, torch.float32)


def random_intervals(generator: torch.Generator, dtype: torch.dtype) -> Interval:
    """(1, COUNT) intervals: around 0, far away, tiny, huge, one-sided, of width 0."""
    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(COUNT, generator=generator, dtype=torch.float64)

    center = torch.randn(COUNT, generator=generator, dtype=torch.float64) * 10.0 ** uniform(-3, 2)
    width = 10.0 ** uniform(-8, 2.5)
    width[::9] = 0
    lower, upper = (center - width).to(dtype), (center + width).to(dtype)
    lower[::7] = 0
    upper[1::7] = 0
    return Interval(torch.minimum(lower, upper).unsqueeze(0), torch.maximum(lower, upper).unsqueeze(0))


def random_lines(op: Op, pre: Interval, generator: torch.Generator) -> tuple[str, Lines]:
    """One of the ways in which the package draws lines."""
    choice = int(torch.randint(6, (1,), generator=generator))
    share = torch.rand(pre.lower.shape, generator=generator, dtype=torch.float64).to(pre.lower.dtype)
    if isinstance(op, Relu):
        rules = tuple(LOWER_SLOPES)
        if choice < len(rules):
            return f"relu {rules[choice]}", relu_lines(pre, rule=rules[choice])
        return "relu alpha", relu_lines(pre, alpha=1.4 * share - 0.2)
    kind = type(op).__name__.lower()
    if choice < 2:
        return f"{kind} lines", s_shaped_lines(op, pre, choice)
    (low0, low1), (up0, up1) = s_shaped_slopes(op, pre)
    low, up = low0 + share * (low1 - low0), up0 + share * (up1 - up0)
    if choice == 5:  # the intercept is claimed to be sound for every slope
        low, up = 1.2 * share - 0.1, 1.2 * share.flip(1) - 0.1
    return f"{kind} {'any' if choice == 5 else 'between'}", Lines(
        low, exact_intercept(op, pre, low, lower=True), up, exact_intercept(op, pre, up, lower=False))


def wide(t: Tensor) -> np.ndarray:
    return t.double().numpy().astype(np.longdouble)


def exactly(op: Op, x: np.ndarray) -> np.ndarray:
    """The function in extended precision."""
    if isinstance(op, Relu):
        return np.maximum(x, 0)
    if isinstance(op, Tanh):
        return np.tanh(x)
    decay = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, decay) / (1 + decay)


def points_of(op: Op, pre: Interval, slopes: tuple[Tensor, ...]) -> np.ndarray:
    """(k, COUNT) in extended precision, inside the intervals."""
    low, high = wide(pre.lower)[0], wide(pre.upper)[0]
    share = np.linspace(0, 1, GRID).astype(np.longdouble)[:, None]
    found = [low + share * (high - low), np.tile(np.array(BENDS, np.longdouble)[:, None], (1, COUNT))]
    for slope in () if isinstance(op, Relu) else slopes:
        s = np.clip(wide(slope)[0], 1e-30, 1)
        # Where the derivative equals the slope: 1 - tanh(z)^2 = s; p (1 - p) = s for the sigmoid p.
        root = np.sqrt(1 - s) if isinstance(op, Tanh) else np.sqrt(np.maximum(1 - 4 * s, 0))
        with np.errstate(divide="ignore"):  # infinity is clipped to the end of the interval
            z = np.arctanh(root) * (1 if isinstance(op, Tanh) else 2)
        found += [z[None], -z[None]]
    return np.clip(np.concatenate(found), low, high)


def gap(op: Op, pre: Interval, lines: Lines) -> float:
    """How far the function leaves its lines anywhere, at most 0 when it does not; inf for a NaN."""
    x = points_of(op, pre, (lines.lower_slope, lines.upper_slope))
    value = exactly(op, x)
    below = lines.lower_intercept if lines.lower_intercept is not None else torch.zeros_like(pre.lower)
    low = wide(lines.lower_slope)[0] * x + wide(below)[0]
    high = wide(lines.upper_slope)[0] * x + wide(lines.upper_intercept)[0]
    worst = float(np.maximum(low - value, value - high).max())
    return np.inf if np.isnan(worst) else worst


def run(cases: range, seed: int) -> Tally:
    """Case k: function, dtype and rule in turns, intervals drawn."""
    record = Recorder()
    for k in cases:
        generator = torch.Generator().manual_seed(1000003 * seed + k)
        op, dtype = (Relu(), Sigmoid(), Tanh())[k % 3], DTYPES[k // 3 % 2]
        pre = random_intervals(generator, dtype)
        name, lines = random_lines(op, pre, generator)
        record.tried()
        record.count("intervals", COUNT)
        record.count(f"{name} cases")
        if (worst := gap(op, pre, lines)) > 0:
            record.wrong(k, f"{name} in {dtype}: the function leaves its lines by {worst:.3g}")
    return record.result()


def missing() -> str:
    """Values rounded to float64 could not be told from lines that touch the function."""
    return "" if np.finfo(np.longdouble).eps < 1e-18 else "numpy has no extended precision here"


EXPERIMENT = Experiment("enclosure: relaxations", "functions lie between their lines", run, lambda: 20_000, 1500,
                        missing=missing)
