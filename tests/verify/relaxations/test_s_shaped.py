import pytest
import torch

from verify.ops import Sigmoid, Tanh
from verify.relaxations.s_shaped import exact_intercept, s_shaped_lines, s_shaped_slopes
from verify.sets import Interval


def interval(low, high):
    return Interval(torch.tensor([low], dtype=torch.float64), torch.tensor([high], dtype=torch.float64))


def test_one_sided_intervals_get_chord_and_tangent():
    pre = interval([1.0, -2.0], [2.0, -1.0])
    lines = s_shaped_lines(Tanh(), pre)
    chord = (torch.tanh(torch.tensor(2.0)) - torch.tanh(torch.tensor(1.0))).item()
    assert lines.lower_slope[0, 0].item() == pytest.approx(chord, rel=1e-6)  # concave: chord below
    assert lines.upper_slope[0, 1].item() == pytest.approx(chord, rel=1e-6)  # convex: chord above
    assert lines.upper_slope[0, 0].item() == pytest.approx(1 - torch.tanh(torch.tensor(1.5)).item() ** 2, rel=1e-6)


def test_tangent_through_the_far_end_touches_there():
    """On [-3, 1] the lower line of tanh is the tangent that passes through (1, tanh 1)."""
    pre = interval([-3.0], [1.0])
    lines = s_shaped_lines(Tanh(), pre)
    gap = torch.tanh(pre.upper) - (lines.lower_slope * pre.upper + lines.lower_intercept)
    assert 0 <= gap.item() < 1e-6


@pytest.mark.parametrize("op", [Sigmoid(), Tanh()])
def test_intercept_by_brute_force(op):
    generator = torch.Generator().manual_seed(0)
    low = torch.randn(1, 200, generator=generator, dtype=torch.float64) * 3
    pre = Interval(low, low + torch.rand(1, 200, generator=generator, dtype=torch.float64) * 6)
    slope = torch.randn(1, 200, generator=generator, dtype=torch.float64) * 0.5
    t = torch.linspace(0, 1, 4001, dtype=torch.float64).reshape(-1, 1)
    z = pre.lower + t * pre.width
    gap = op.evaluate(z) - slope * z
    assert torch.allclose(exact_intercept(op, pre, slope, lower=True)[0], gap.amin(0), atol=1e-5)
    assert torch.allclose(exact_intercept(op, pre, slope, lower=False)[0], gap.amax(0), atol=1e-5)
    assert bool((exact_intercept(op, pre, slope, lower=True)[0] <= gap.amin(0)).all())


@pytest.mark.parametrize("op", [Sigmoid(), Tanh()])
def test_mirror_symmetry(op):
    pre = interval([-2.0, -0.3, 0.5], [1.0, 4.0, 0.7])
    mirrored = Interval(-pre.upper, -pre.lower)
    (low, _), (up, _) = s_shaped_slopes(op, pre)
    (mirrored_low, _), (mirrored_up, _) = s_shaped_slopes(op, mirrored)
    assert torch.equal(low, mirrored_up) and torch.equal(up, mirrored_low)


def test_degenerate_interval_gives_the_value():
    pre = interval([0.3, -5.0], [0.3, -5.0])
    lines = s_shaped_lines(Tanh(), pre)
    value = torch.tanh(pre.lower)
    for slope, intercept in ((lines.lower_slope, lines.lower_intercept), (lines.upper_slope, lines.upper_intercept)):
        assert torch.allclose(slope * pre.lower + intercept, value, atol=1e-12)
