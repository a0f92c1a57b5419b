"""Differences of curves at two points and of two linear maps: values, enclosures, charges for cancelled weights."""

import pytest
import torch

from verify.errors import BrokenInvariant, ShapeMismatch
from verify.ops import Affine, Conv, Linear, Relu, Sigmoid, Tanh
from verify.ops.difference import Change, Difference, has_slopes, relu_difference, scaled, slope_range
from verify.sets import Interval

DTYPES = (torch.float64, torch.float32)
BASES = (Relu(), Sigmoid(), Tanh())


def boxes(count: int, dtype: torch.dtype, seed: int = 0) -> tuple[Interval, Interval]:
    """Values v and differences d, (1, count) each: of any size, one-sided or across 0, some of width 0."""
    generator = torch.Generator().manual_seed(seed)

    def one(scales: tuple[float, ...]) -> Interval:
        size = torch.tensor(scales, dtype=torch.float64)[torch.randint(len(scales), (count,), generator=generator)]
        ends = torch.randn(2, count, generator=generator, dtype=torch.float64) * size
        ends[:, ::11] = ends[:1, ::11]
        ends[0, ::7] = 0
        ends = ends.sort(0).values.to(dtype).unsqueeze(1)
        return Interval(ends[0], ends[1])

    return one((1e-3, 1.0, 1.0, 3.0, 20.0)), one((1e-9, 1e-4, 0.1, 1.0, 5.0))


def points(v: Interval, d: Interval, count: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    """Points of the boxes in float64, corners and kinks included: (k, ...) each."""
    generator = torch.Generator().manual_seed(1)
    shares = torch.rand(2, count, *v.lower.shape[1:], generator=generator, dtype=torch.float64)
    shares[0, :4] = torch.tensor([0.0, 0.0, 1.0, 1.0]).reshape(4, *[1] * (v.lower.dim() - 1))
    shares[1, :4] = torch.tensor([0.0, 1.0, 0.0, 1.0]).reshape(4, *[1] * (v.lower.dim() - 1))
    inside = [(i.lower.double() + s * (i.upper.double() - i.lower.double())).maximum(i.lower.double())
              .minimum(i.upper.double()) for s, i in zip(shares, (v, d), strict=True)]
    x, y = inside
    x[4:10] = torch.zeros_like(x[4:10]).maximum(v.lower.double()).minimum(v.upper.double())
    x[10:20] = y[10:20].maximum(v.lower.double()).minimum(v.upper.double())
    return x, y


def truth(base, v: torch.Tensor, d: torch.Tensor) -> torch.Tensor:
    """The difference in float64 without cancellation."""
    if isinstance(base, Relu):
        return relu_difference(v, d)
    half = 0.5 if isinstance(base, Sigmoid) else 1.0  # tanh a - tanh b = tanh(a - b) (1 - tanh a tanh b)
    return half * torch.tanh(half * d) * (1 - torch.tanh(half * v) * torch.tanh(half * (v - d)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("base", BASES, ids=lambda base: type(base).__name__)
def test_interval_encloses(base, dtype):
    v, d = boxes(2500, dtype)
    found = Difference(base).interval(v, d)
    x, y = points(v, d)
    values, slack = truth(base, x, y), 1e-15 * (x.abs() + y.abs())
    assert bool((found.lower.double() <= values + slack).all()) and bool((values - slack <= found.upper.double()).all())


def test_interval_of_relu_is_attained_at_corners():
    v, d = boxes(2500, torch.float64)
    found = Difference(Relu()).interval(v, d)
    corners = torch.stack([relu_difference(x, y) for x in (v.lower, v.upper) for y in (d.lower, d.upper)])
    assert torch.allclose(corners.amin(0), found.lower, atol=1e-12)
    assert torch.allclose(corners.amax(0), found.upper, atol=1e-12)


def test_by_hand():
    v, d = torch.tensor([[2.0, 1.0, -1.0, -3.0, 0.5]]), torch.tensor([[1.0, 3.0, -3.0, 1.0, -0.25]])
    assert Difference(Relu()).evaluate(v, d).tolist() == [[1.0, 1.0, -2.0, 0.0, -0.25]]
    close = Difference(Tanh()).evaluate(v.double(), d.double())
    assert torch.allclose(close, torch.tanh(v.double()) - torch.tanh(v.double() - d.double()))


def test_no_difference_is_exactly_none():
    v, zero = boxes(50, torch.float64)[0], torch.zeros(1, 50, dtype=torch.float64)
    for base in BASES:
        found = Difference(base).interval(v, Interval(zero, zero))
        assert not bool(found.lower.any()) and not bool(found.upper.any())


def test_slopes_of_curves_by_sampling():
    v, _ = boxes(500, torch.float64)
    for base in BASES:
        low, high = slope_range(base, v)
        a, b = (v.lower + share * v.width for share in torch.rand(2, 100, 1, 1, dtype=torch.float64))
        quotient = (base.evaluate(a) - base.evaluate(b)) / (a - b)
        usable = ((a - b).abs() > 1e-3) & torch.isfinite(quotient)
        assert bool(((low - 1e-11 <= quotient) & (quotient <= high + 1e-11))[usable].all())


def test_an_unbounded_slope_bounds_nothing_but_keeps_zero_apart():
    inf = torch.tensor([[torch.inf, torch.inf]])
    d = Interval(torch.tensor([[0.0, -1.0]]), torch.tensor([[0.0, 1.0]]))
    found = scaled((-inf, inf), d)
    assert found.lower.tolist() == [[-torch.inf] * 2] and found.upper.tolist() == [[torch.inf] * 2]


def test_what_has_no_slopes_is_named():
    assert has_slopes(Tanh()) and not has_slopes(Affine())
    with pytest.raises(BrokenInvariant, match="Affine"):
        slope_range(Affine(), boxes(1, torch.float64)[0])
    with pytest.raises(ShapeMismatch, match="do not fit"):
        Difference(Relu()).output_shape((2,), (3,))


def change(first, second, **fields) -> Change:
    size = {name: getattr(first, name).abs() + getattr(second, name).abs() for name in fields}
    return Change(type(first)(**fields), type(first)(**size))


def test_a_change_charges_the_terms_that_cancelled():
    """Weights of 1e6 that differ by 1e-9 may be off by their own rounding, 1e-10: the interval has room for it."""
    generator = torch.Generator().manual_seed(0)
    weight = 1e6 * torch.randn(3, 4, generator=generator, dtype=torch.float64)
    second = weight + 1e-9 * torch.randn(3, 4, generator=generator, dtype=torch.float64)
    op = change(Linear(weight, weight[:, 0]), Linear(second, second[:, 0]), weight=weight - second,
                bias=weight[:, 0] - second[:, 0])
    box = Interval(-torch.ones(1, 4, dtype=torch.float64), torch.ones(1, 4, dtype=torch.float64))
    room = op.interval(box).width - 2 * op.spread(torch.ones(1, 4, dtype=torch.float64))
    assert bool((room / 2 >= 2**-53 * 4 * weight.abs().sum(1)).all())
    assert op.output_shape((4,)) == (3,)
    moved = op.to(torch.device("cpu"), torch.float32)
    assert moved.step.weight.dtype == moved.size.weight.dtype == torch.float32
    assert torch.equal(op.evaluate(box.upper), box.upper @ (weight - second).T + (weight - second)[:, 0])


def test_a_change_of_convolutions():
    weight = torch.randn(2, 1, 2, 2, dtype=torch.float64)
    op = change(Conv(weight), Conv(weight * 0.9), weight=weight * 0.1)
    x = torch.randn(3, 1, 1, 4, 4, dtype=torch.float64)
    assert torch.allclose(op.evaluate(x), Conv(weight).evaluate(x) - Conv(weight * 0.9).evaluate(x))
    assert op.offset() is None and op.terms((1, 4, 4)) == op.step.terms((1, 4, 4))
