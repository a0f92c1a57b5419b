"""What every primitive must satisfy, over the table of cases."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from tests.conformance.cases import LINEAR, NONLINEAR
from tests.conformance.curves import CURVES, everywhere
from verify.ops import LinearOp, Op
from verify.sets import Interval

CASES = {**LINEAR, **NONLINEAR}
DTYPES = {"float64": torch.float64, "float32": torch.float32}
CPU = torch.device("cpu")
DOMAINS = 3


def numbers(generator: torch.Generator, shape, scale: float = 1.0) -> torch.Tensor:
    return torch.randn(DOMAINS, *shape, dtype=torch.float64, generator=generator) * scale


def into(name: str) -> Callable[[torch.Tensor], torch.Tensor]:
    """Maps numbers to where a curve is defined."""
    return CURVES[name].into if name in CURVES else everywhere


def inputs(shapes, seed: int, place=everywhere) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [place(numbers(generator, shape)) for shape in shapes]


def boxes(shapes, seed: int, dtype: torch.dtype, place=everywhere) -> list[Interval]:
    """Random boxes of very different radii, some of them points."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for shape in shapes:
        center = numbers(generator, shape, 10.0 ** (seed % 4 - 1))
        size = 10.0 ** torch.randint(-12, 2, center.shape, generator=generator)
        radius = numbers(generator, shape).abs() * size * (torch.rand(center.shape, generator=generator) > 0.2)
        found.append(Interval(place(center - radius), place(center + radius)).to(dtype=dtype))
    return found


def dense(op: LinearOp, shapes) -> list[torch.Tensor]:
    """W as one matrix (o, i) per input, by evaluating unit vectors."""
    zeros = [torch.zeros(1, *shape, dtype=torch.float64) for shape in shapes]
    offset = op.evaluate(*zeros).flatten()
    matrices = []
    for k, shape in enumerate(shapes):
        units = torch.eye(math.prod(shape), dtype=torch.float64).reshape(-1, *shape)
        points = [units if j == k else z.expand(len(units), *z.shape[1:]) for j, z in enumerate(zeros)]
        matrices.append((op.evaluate(*points).flatten(1) - offset).T)
    return matrices


@pytest.mark.parametrize("name", CASES)
def test_shape_is_the_one_it_evaluates_to(name):
    op, shapes = CASES[name]
    y = op.evaluate(*inputs(shapes, 0, into(name)))
    assert tuple(y.shape[1:]) == tuple(op.output_shape(*shapes))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_samples_lie_inside_the_interval(name, dtype):
    """The values in float64 of points in the box, corners and points at its edge included."""
    op, shapes = CASES[name]
    for seed in range(8):
        given = boxes(shapes, seed, DTYPES[dtype], into(name))
        bounds = op.to(CPU, DTYPES[dtype]).interval(*given).to(dtype=torch.float64)
        assert tuple(bounds.lower.shape[1:]) == tuple(op.output_shape(*shapes))
        generator = torch.Generator().manual_seed(100 + seed)
        for _ in range(20):
            points = []
            for box in given:
                share = torch.rand(box.lower.shape, generator=generator, dtype=torch.float64).mul(3).sub(1).clamp(0, 1)
                lower, upper = box.lower.double(), box.upper.double()
                points.append(torch.minimum(torch.maximum(lower + share * (upper - lower), lower), upper))
            # Also in float32 it is the float64 network that is bounded.
            value = op.evaluate(*points)
            assert bool(((bounds.lower <= value) & (value <= bounds.upper)).all())


@pytest.mark.parametrize("name", CASES)
def test_image_is_the_interval_up_to_rounding(name):
    op, shapes = CASES[name]
    for seed in range(4):
        given = boxes(shapes, seed, torch.float64, into(name))
        image, bounds = op.image(*given), op.interval(*given)
        for a, b in ((image.lower, bounds.lower), (image.upper, bounds.upper)):
            assert torch.allclose(a.expand_as(b), b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", CASES)
def test_interval_of_a_point_is_tight(name):
    op, shapes = CASES[name]
    points = inputs(shapes, 1, into(name))
    bounds, value = op.interval(*(Interval(x, x) for x in points)), op.evaluate(*points)
    assert bool((bounds.width <= 1e-11 * (1 + value.abs())).all())


@pytest.mark.parametrize("name", CASES)
def test_domains_do_not_see_each_other(name):
    op, shapes = CASES[name]
    given = boxes(shapes, 3, torch.float64, into(name))
    whole = op.interval(*given)
    for n in range(DOMAINS if shapes else 1):
        alone = op.interval(*(box[n : n + 1] for box in given))
        for a, b in ((whole.lower[n : n + 1], alone.lower), (whole.upper[n : n + 1], alone.upper)):
            assert torch.allclose(a, b, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", CASES)
def test_moving_keeps_the_values(name):
    op, shapes = CASES[name]
    points = inputs(shapes, 2, into(name))
    there = op.to(CPU, torch.float32)
    assert isinstance(there, Op) and type(there) is type(op)
    low = there.evaluate(*(x.float() for x in points))
    assert low.dtype == (torch.float32 if points or name == "constant" else low.dtype)
    assert torch.allclose(low.double(), op.evaluate(*points), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", LINEAR)
def test_adjoint(name):
    """<pull_back(c), x> + pull_back_offset(c) = <c, evaluate(x)>."""
    op, shapes = LINEAR[name]
    points, out = inputs(shapes, 4), tuple(op.output_shape(*shapes))
    rows = 4
    coeff = torch.randn(DOMAINS, rows, *out, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    value = op.evaluate(*points).expand(DOMAINS, *out)
    expected = (coeff * value.unsqueeze(1)).flatten(2).sum(2)
    pulled, offset = op.pull_back(coeff, tuple(shapes)), op.pull_back_offset(coeff)
    narrow = op.pull_back_offset(coeff, wide=False)
    assert narrow is offset is None or torch.allclose(narrow, offset)
    assert [tuple(p.shape) for p in pulled] == [(DOMAINS, rows, *shape) for shape in shapes]
    total = torch.zeros(DOMAINS, rows, dtype=torch.float64) if offset is None else offset
    for p, x in zip(pulled, points, strict=True):
        total = total + (p * x.unsqueeze(1)).flatten(2).sum(2)
    assert torch.allclose(total, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", LINEAR)
def test_spread_is_the_absolute_matrix(name):
    op, shapes = LINEAR[name]
    radii, out = [r.abs() for r in inputs(shapes, 6)], tuple(op.output_shape(*shapes))
    expected = torch.zeros(DOMAINS, math.prod(out), dtype=torch.float64)
    for matrix, radius in zip(dense(op, shapes), radii, strict=True):
        expected = expected + radius.flatten(1) @ matrix.abs().T
    assert torch.allclose(op.spread(*radii).expand(DOMAINS, *out).flatten(1), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", LINEAR)
def test_offset_is_the_value_at_zero(name):
    op, shapes = LINEAR[name]
    out = tuple(op.output_shape(*shapes))
    at_zero = op.evaluate(*(torch.zeros(1, *shape, dtype=torch.float64) for shape in shapes))
    offset = torch.zeros(()) if op.offset() is None else op.offset()
    assert torch.allclose(offset.double().expand(1, *out), at_zero)
    magnitude = op.offset_magnitude()
    assert (op.offset() is None) == (magnitude is None)
    assert magnitude is None or bool((magnitude >= op.offset().abs()).all())


@pytest.mark.parametrize("name", LINEAR)
def test_rounding_covers_float32(name):
    """A graph in float32 holds rounded tensors and rounds on the way: both within `rounding`."""
    op, shapes = LINEAR[name]
    low = op.to(CPU, torch.float32)
    points = [x.float() for x in inputs(shapes, 7)]
    exact = op.evaluate(*(x.double() for x in points))
    charged = low.rounding(*(x.abs() for x in points)).double()
    assert bool(((low.evaluate(*points).double() - exact).abs() <= charged).all())


@pytest.mark.parametrize("name", LINEAR)
def test_the_adjoint_in_float32_is_charged(name):
    """|<c, W x> - <W^T c, x>| is at most |c| . rounding(|x|): long sums over the outputs included."""
    op, shapes = LINEAR[name]
    low, out = op.to(CPU, torch.float32), tuple(op.output_shape(*shapes))
    points = [x.float() for x in inputs(shapes, 9)]
    coeff = torch.randn(DOMAINS, 4, *out, generator=torch.Generator().manual_seed(10))
    exact = (coeff.double() * op.evaluate(*(x.double() for x in points)).unsqueeze(1)).flatten(2).sum(2)
    offset = low.pull_back_offset(coeff)
    total = torch.zeros(DOMAINS, 4, dtype=torch.float64) if offset is None else offset.double()
    for part, x in zip(low.pull_back(coeff, tuple(shapes)), points, strict=True):
        total = total + (part.double() * x.double().unsqueeze(1)).flatten(2).sum(2)
    charged = low.rounding(*(x.abs() for x in points)) if not low.moves_only else torch.zeros(DOMAINS, *out)
    allowed = (coeff.abs() * charged.unsqueeze(1)).flatten(2).sum(2).double()
    assert bool(((total - exact).abs() <= allowed + 1e-12).all())


@pytest.mark.parametrize("name", [name for name in LINEAR if LINEAR[name][0].moves_only])
def test_moving_entries_is_exact(name):
    op, shapes = LINEAR[name]
    points = inputs(shapes, 8)
    bounds = op.interval(*(Interval(x, x) for x in points))
    assert torch.equal(bounds.lower, op.evaluate(*points)) and torch.equal(bounds.upper, bounds.lower)
