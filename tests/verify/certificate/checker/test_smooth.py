"""Sigmoid and tanh of the checker against 60-digit decimals: values, constants, and lines on intervals of all sizes."""

import math
from decimal import Context, Decimal, getcontext, localcontext
from fractions import Fraction

import numpy as np
import pytest

from verify.certificate.checker import smooth
from verify.certificate.checker.errors import Rejected

KINDS = ("sigmoid", "tanh")
FAR = Decimal(5000)
EXTREMES = (0.0, -0.0, 5e-324, 1e-310, 1e-30, 1e-9, 0.34657, 0.346574, 0.6931, 1.0, 17.0, 19.5, 36.0, 37.5, 350.0,
            699.9, 700.1, 745.2, 1e4, 1e16, 1e100, 1e300)


def digits() -> Context:
    context = getcontext().copy()
    context.prec, context.Emin, context.Emax = 60, -(10**9), 10**9
    return context


def exact(kind: str, x: float) -> tuple[Decimal, Decimal]:
    """An enclosure of f(x); both ends agree to nearly 60 digits unless |x| > 5000."""
    with localcontext(digits()):
        z = max(-FAR, min(FAR, Decimal(x)))
        least = Decimal(-1 if kind == "tanh" else 0)
        if kind == "sigmoid":
            y = 1 / (1 + (-z).exp())
        elif abs(z) < Decimal("1e-25"):
            y = z  # to 50 digits
        else:
            t = (-2 * abs(z)).exp()
            y = ((1 - t) / (1 + t)).copy_sign(z)
        slack = abs(y) * Decimal("1e-33")
        return (least if z == -FAR else max(least, y - slack)), (Decimal(1) if z == FAR else min(Decimal(1), y + slack))


def intervals(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Ends of every size and sign: ordinary ones, tiny intervals, points, saturated and extreme ones."""
    rng = np.random.default_rng(seed)
    ends = rng.normal(size=(2, count)) * 10.0 ** rng.uniform(-3, 2, (2, count))
    tiny, points, huge = (rng.random(count) < p for p in (0.2, 0.05, 0.05))
    ends[1] = np.where(tiny, ends[0] + ends[0] * 10.0 ** rng.uniform(-16, -3, count), ends[1])
    ends[1] = np.where(points, ends[0], ends[1])
    ends = np.where(huge, np.sign(ends) * 10.0 ** rng.uniform(-320, 300, (2, count)), ends)
    return ends.min(0), ends.max(0)


def lines(kind: str, lower: np.ndarray, upper: np.ndarray, position: np.ndarray, side: int):
    pair = smooth.slopes(kind, lower, upper)[(side + 1) // 2]
    slope = pair[0] + position * (pair[1] - pair[0])
    return slope, smooth.intercept(kind, lower, upper, slope, side)


def test_constants():
    with localcontext(digits()):
        ln2 = Decimal(2).ln()
        assert abs(Decimal(smooth.LN2_HIGH) + Decimal(smooth.LN2_LOW) - ln2) < Decimal(2) ** -86
    mantissa = int(math.frexp(smooth.LN2_HIGH)[0] * 2**53)
    assert mantissa % 2**21 == 0


@pytest.mark.parametrize("kind", KINDS)
def test_values_enclose_and_are_tight(kind):
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.normal(size=1500) * 10.0 ** rng.uniform(-8, 2.9, 1500), EXTREMES, np.negative(EXTREMES)])
    lower, upper = smooth.value(kind, x)
    for z, low, high in zip(x.tolist(), lower.tolist(), upper.tolist(), strict=True):
        below, above = exact(kind, z)
        assert Decimal(low) <= below <= above <= Decimal(high), z
    assert (upper - lower <= 2.1 * smooth.ERROR * np.maximum(np.abs(lower), np.abs(upper)) + 3 * smooth.TINY).all()


@pytest.mark.parametrize("kind", KINDS)
def test_errors_stay_below_the_proven_constants(kind):
    """The derivation claims 66 u for sigmoid and 184 u for tanh; the declared bound is 256 u."""
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.uniform(-40, 40, 1000), rng.uniform(-0.5, 0.5, 1000), 10.0 ** rng.uniform(-12, 0, 500)])
    y, steep = smooth._function(kind, x)
    with localcontext(digits()):
        for z, got, slope in zip(x.tolist(), y.tolist(), steep.tolist(), strict=True):
            true = sum(exact(kind, z)) / 2
            t = (-abs(Decimal(z) * (2 if kind == "tanh" else 1))).exp()
            derivative = t / (1 + t) ** 2 * (4 if kind == "tanh" else 1)
            assert abs(Decimal(got) - true) <= Decimal(2) ** -45 * abs(true) * Decimal("0.75")
            assert abs(Decimal(slope) - derivative) <= Decimal(2) ** -46 * derivative


@pytest.mark.parametrize("kind", KINDS)
def test_image_of_an_interval_and_infinities(kind):
    low, high = smooth.image(kind, np.array([-np.inf, -1.0, 2.0]), np.array([np.inf, 3.0, 2.0]))
    least = -1.0 if kind == "tanh" else 0.0
    assert (low[0], high[0]) == (least, 1.0)
    f = math.tanh if kind == "tanh" else lambda z: 1 / (1 + math.exp(-z))
    assert low[1] < f(-1.0) < low[1] + 1e-12 and high[1] - 1e-12 < f(3.0) < high[1] and low[2] < f(2.0) < high[2]


@pytest.mark.parametrize("side", (-1, 1))
@pytest.mark.parametrize("kind", KINDS)
def test_lines_hold_and_touch_on_many_intervals(kind, side):
    lower, upper = intervals(100_000)
    rng = np.random.default_rng(3)
    slope, t = lines(kind, lower, upper, rng.random(lower.size), side)
    f = np.tanh if kind == "tanh" else lambda z: np.where(z < 0, 1, 1) / (1 + np.exp(-np.maximum(z, -700.0)))
    worst = np.full(lower.size, np.inf)
    with np.errstate(over="ignore"):
        for share in np.linspace(0, 1, 41):
            z = np.clip(lower + share * (upper - lower), lower, upper)
            noise = 1e-15 * (1 + np.abs(slope * z))
            gap = -side * (f(z) - slope * z - t)
            assert (gap >= -noise).all()
            worst = np.minimum(worst, gap)
    ordinary = np.maximum(np.abs(lower), np.abs(upper)) < 50
    # The samples lie close to the touching point only on short intervals; the ends are among them.
    close = ordinary & (upper - lower < 1)
    assert (worst[close] < 2e-3).all()
    touching = ordinary & ((lower >= 0) if side < 0 else (upper <= 0))  # concave seen from this side: touches at an end
    assert touching.sum() > 10_000 and (worst[touching] < 1e-12 * (1 + 50 * np.abs(slope[touching]))).all()


@pytest.mark.parametrize("side", (-1, 1))
@pytest.mark.parametrize("kind", KINDS)
def test_lines_hold_exactly(kind, side):
    """Decimals on both ends, inside, and around the touching point: no tolerance."""
    lower, upper = intervals(250, seed=4)
    rng = np.random.default_rng(5)
    slope, t = lines(kind, lower, upper, rng.integers(0, 257, lower.size) / 256, side)
    wild = rng.normal(size=lower.size) * 10.0 ** rng.uniform(-5, 1, lower.size)
    for s, intercepts in ((slope, t), (wild, smooth.intercept(kind, lower, upper, wild, side))):
        for k in range(lower.size):
            points = [lower[k], upper[k], *rng.uniform(0, 1, 8) * (upper[k] - lower[k]) + lower[k], 0.0,
                      *rng.normal(size=4) * 3]
            for z in np.clip(points, lower[k], upper[k]).tolist():
                line = Fraction(float(s[k])) * Fraction(z) + Fraction(float(intercepts[k]))
                below, above = map(Fraction, exact(kind, z))
                assert line <= below if side < 0 else line >= above, (k, z)


@pytest.mark.parametrize("kind", KINDS)
def test_tight_where_the_tangent_decides(kind):
    """Lower line through the convex part: the tangent at a known point, up to 1e-12."""
    scale = 2.0 if kind == "tanh" else 1.0
    c = np.linspace(-20, -0.01, 200) / scale
    y, steep = smooth._function(kind, c)
    t = smooth.intercept(kind, c - 2.0, np.minimum(c + 1.0, 0.0), steep, -1)
    assert (t <= y - steep * c).all() and (t >= y - steep * c - 1e-12).all()


@pytest.mark.parametrize("kind", KINDS)
def test_slopes_are_those_of_the_prover(kind):
    """A position between the two candidates must mean the same line on both sides."""
    torch = pytest.importorskip("torch")
    from verify.ops.s_shaped import Sigmoid, Tanh
    from verify.relaxations.s_shaped import s_shaped_slopes
    from verify.sets import Interval

    rng = np.random.default_rng(6)
    ends = np.sort(rng.normal(size=(2, 4000)) * 10.0 ** rng.uniform(-2, 1.2, (2, 4000)), axis=0)
    theirs = s_shaped_slopes(Tanh() if kind == "tanh" else Sigmoid(), Interval(*torch.from_numpy(ends).unsqueeze(1)))
    for mine, other in zip(smooth.slopes(kind, *ends), theirs, strict=True):
        for a, b in zip(mine, other, strict=True):
            assert np.abs(a - b[0].numpy()).max() < 1e-8


def test_refusals():
    one, two = np.ones(1), np.full(1, 2.0)
    with pytest.raises(Rejected, match="unknown smooth function 'erf'"):
        smooth.value("erf", one)
    with pytest.raises(Rejected, match="not a number"):
        smooth.value("tanh", np.array([np.nan]))
    for bad in ((two, one, one), (one * np.nan, two, one), (one, two * np.inf, one), (one, two, one * np.nan)):
        with pytest.raises(Rejected, match="finite bounds in order"):
            smooth.intercept("sigmoid", *bad, -1)
    with pytest.raises(Rejected, match="overflows"):
        smooth.intercept("sigmoid", one, np.full(1, 1e300), np.full(1, 1e300), -1)
