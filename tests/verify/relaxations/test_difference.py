"""Planes around differences enclose them, for any slopes; by hand where they are simple, and never worse than each
network alone."""

import pytest
import torch

from tests.verify.ops.test_difference import BASES, DTYPES, boxes, points, truth
from verify.ops import Relu, Tanh
from verify.ops.difference import Difference
from verify.relaxations.difference import candidate_planes, difference_planes, exact_slopes, intercept
from verify.sets import Interval


def box(v: tuple[float, float], d: tuple[float, float]) -> tuple[Interval, Interval]:
    ends = torch.tensor([v, d], dtype=torch.float64)
    return tuple(Interval(e[:1].reshape(1, 1), e[1:].reshape(1, 1)) for e in ends)


def height(slopes, t, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return slopes[0].double() * x + slopes[1].double() * y + t.double()


def assert_enclosed(base, v, d, planes) -> None:
    x, y = points(v, d)
    values, slack = truth(base, x, y), 1e-15 * (x.abs() + y.abs())
    assert bool((height(planes.lower_slopes, planes.lower_intercept, x, y) <= values + slack).all())
    assert bool((height(planes.upper_slopes, planes.upper_intercept, x, y) >= values - slack).all())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("base", BASES, ids=lambda base: type(base).__name__)
@pytest.mark.parametrize("weight", [None, 0.0, 0.3, 1.0])
def test_planes_enclose(base, weight, dtype):
    v, d = boxes(2500, dtype)
    weights = None if weight is None else torch.full((2, *v.lower.shape), weight, dtype=dtype)
    assert_enclosed(base, v, d, difference_planes(Difference(base), v, d, weights))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("base", BASES, ids=lambda base: type(base).__name__)
def test_any_slopes_enclose(base, dtype):
    v, d = boxes(2500, dtype, seed=2)
    p, q = torch.randn(2, 1, 2500, generator=torch.Generator().manual_seed(3)).to(dtype)
    x, y = points(v, d)
    values, slack = truth(base, x, y), 1e-15 * (1 + p.abs() + q.abs()) * (x.abs() + y.abs())
    low, high = (intercept(Difference(base), v, d, (p, q), lower) for lower in (True, False))
    assert bool((height((p, q), low, x, y) <= values + slack).all())
    assert bool((height((p, q), high, x, y) >= values - slack).all())


def test_rows_may_have_weights_of_their_own():
    v, d = boxes(40, torch.float64)
    weights = torch.rand(2, 1, 3, 40, dtype=torch.float64)
    for base in BASES:
        planes = difference_planes(Difference(base), v, d, weights)
        single = difference_planes(Difference(base), v, d, weights[:, :, 1])
        assert planes.lower_slopes[0].shape == (1, 3, 40)
        assert torch.equal(planes.upper_intercept[:, 1], single.upper_intercept)
        assert torch.equal(planes.lower_slopes[1][:, 1], single.lower_slopes[1])


def test_chords_in_the_difference_by_hand():
    """Both ReLUs unstable and far wider than the difference, -1 <= d <= 3."""
    planes = difference_planes(Difference(Relu()), *box((-50.0, 50.0), (-1.0, 3.0)))
    assert [float(s) for s in planes.upper_slopes] == [0.0, 0.75]
    assert float(planes.upper_intercept) == pytest.approx(0.75)
    assert [float(s) for s in planes.lower_slopes] == [0.0, 0.25]
    assert float(planes.lower_intercept) == pytest.approx(-0.75)


@pytest.mark.parametrize(("v", "d", "slopes"), [
    ((2.0, 3.0), (-1.0, 1.0), (0.0, 1.0)),    # both active: d
    ((-3.0, -2.0), (-1.0, 1.0), (0.0, 0.0)),  # both inactive: 0
    ((1.0, 2.0), (3.0, 4.0), (1.0, 0.0)),     # v active, v' inactive: v
    ((-2.0, -1.0), (-4.0, -3.0), (-1.0, 1.0)),  # v inactive, v' active: d - v
    ((-2.0, 5.0), (0.0, 0.0), (0.0, 0.0)),    # no difference
])
def test_stable_neurons_are_exact(v, d, slopes):
    settled, exact = exact_slopes(Relu(), *box(v, d))
    assert bool(settled) and tuple(float(s) for s in exact) == slopes
    planes = difference_planes(Difference(Relu()), *box(v, d))
    for side, t in ((planes.lower_slopes, planes.lower_intercept), (planes.upper_slopes, planes.upper_intercept)):
        assert tuple(float(s) for s in side) == slopes and float(t) == 0


def test_one_stable_neuron_leaves_the_other_ones_lines():
    """v active, v' in [-1, 2]: delta = v - relu(v'), whose best lower line subtracts the chord of v'."""
    planes = difference_planes(Difference(Relu()), *box((5.0, 6.0), (4.0, 6.0)))
    assert [float(s) for s in planes.lower_slopes] == pytest.approx([1 - 2 / 3, 2 / 3])
    assert float(planes.lower_intercept) == pytest.approx(-2 / 3)


def test_the_better_candidate_comes_first():
    op, (v, d) = Difference(Relu()), boxes(2000, torch.float64, seed=4)
    low, up = candidate_planes(op, v, d)
    for pair, lower in ((low, True), (up, False)):
        first, second = (height(plane.slopes, plane.intercept, v.center, d.center) for plane in pair)
        assert bool(((first - second) * (1 if lower else -1) >= -1e-12 * (1 + first.abs())).all())
        for plane in pair:
            assert torch.equal(plane.intercept, intercept(op, v, d, plane.slopes, lower))


def test_coupling_beats_both_networks_alone_by_far():
    """d of 1e-6 around wide neurons: the gap is of the size of d, not of v."""
    for base in (Relu(), Tanh()):
        v, d = box((-2.0, 3.0), (-1e-6, 1e-6))
        planes = difference_planes(Difference(base), v, d)
        top = height(planes.upper_slopes, planes.upper_intercept, v.center, d.center)
        assert 0 <= float(top) <= 1e-6


def test_infinite_boxes_have_no_planes():
    inf = torch.tensor([[torch.inf]], dtype=torch.float64)
    planes = difference_planes(Difference(Relu()), Interval(-inf, inf), Interval(-inf, inf))
    assert float(planes.lower_intercept) == -torch.inf and float(planes.upper_intercept) == torch.inf
    assert not float(planes.lower_slopes[0]) and not float(planes.upper_slopes[1])
