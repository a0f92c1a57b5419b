"""Intervals are outer bounds, also after a change of dtype."""

from fractions import Fraction

import pytest
import torch

from verify.errors import BrokenInvariant, OutOfResources
from verify.sets import Interval, gamma, underflow


def interval(lower, upper):
    return Interval(torch.tensor([lower], dtype=torch.float64), torch.tensor([upper], dtype=torch.float64))


def test_gamma_bounds_the_error_of_a_real_sum():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(2, 1000, generator=generator, dtype=torch.float32)
    exact = sum(Fraction(float(a)) * Fraction(float(b)) for a, b in values.T)
    magnitude = sum(abs(Fraction(float(a)) * Fraction(float(b))) for a, b in values.T)
    computed = torch.zeros((), dtype=torch.float32)
    for a, b in values.T:
        computed = computed + a * b
    assert abs(Fraction(float(computed)) - exact) <= Fraction(gamma(1000, torch.float32)) * magnitude


def test_gamma_grows_and_ends():
    assert 0 < gamma(1, torch.float64) < gamma(100, torch.float64) < gamma(100, torch.float32) < 1e-4
    with pytest.raises(OutOfResources, match="too long"):
        gamma(1 << 24, torch.float32)


def test_meet_is_the_intersection():
    met = interval([0.0, -1.0], [2.0, 1.0]).meet(interval([1.0, -2.0], [3.0, 0.5]))
    assert met.lower.tolist() == [[1.0, -1.0]] and met.upper.tolist() == [[2.0, 0.5]]


@pytest.mark.parametrize("other", [([3.0], [4.0]), ([float("nan")], [4.0]), ([0.0], [float("nan")])])
def test_meet_of_disjoint_or_nan_raises(other):
    with pytest.raises(BrokenInvariant):
        interval([0.0], [2.0]).meet(interval(*other))


def test_derived_quantities():
    box = interval([-3.0, 1.0], [1.0, 2.0])
    assert box.magnitude.tolist() == [[3.0, 2.0]] and box.width.tolist() == [[4.0, 1.0]]
    assert box.center.tolist() == [[-1.0, 1.5]]


def test_contains_answers_per_domain():
    box = Interval(torch.zeros(2, 2), torch.ones(2, 2))
    assert box.contains(torch.tensor([[0.0, 1.0], [0.5, 1.5]])).tolist() == [True, False]
    assert box.contains(torch.full((2, 2), float("nan"))).tolist() == [False, False]
    assert box[:1].lower.shape == (1, 2)


def test_to_float32_rounds_outward_by_at_most_one_step():
    generator = torch.Generator().manual_seed(1)
    lower = torch.randn(1, 1000, generator=generator, dtype=torch.float64)
    box = Interval(lower, lower + 1e-12)
    narrow = box.to(torch.float32)
    assert narrow.lower.dtype == torch.float32
    assert bool((narrow.lower.double() <= box.lower).all()) and bool((narrow.upper.double() >= box.upper).all())
    assert bool((narrow.width <= 4e-7 * (1 + narrow.magnitude)).all())
    exact = interval([0.5], [0.75]).to(torch.float32)
    assert (exact.lower.item(), exact.upper.item()) == (0.5, 0.75)
    assert torch.equal(narrow.to(torch.float64).lower, narrow.lower.double())


def test_samples_lie_inside_and_are_reproducible():
    box = interval([-1.0, 2.0], [1.0, 2.0])
    points = box.sample(50, torch.Generator().manual_seed(3))
    assert points.shape == (50, 2) and bool((points[:, 1] == 2.0).all())
    assert bool(((box.lower <= points) & (points <= box.upper)).all())
    assert torch.equal(points, box.sample(50, torch.Generator().manual_seed(3)))


def test_underflow_covers_many_tiny_products_and_stays_negligible():
    for dtype in (torch.float32, torch.float64):
        info = torch.finfo(dtype)
        assert info.tiny / info.eps <= underflow(dtype) * info.eps and underflow(dtype) < 1e-6 * info.eps
