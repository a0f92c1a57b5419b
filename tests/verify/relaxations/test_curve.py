"""Lines of curves by hand; that they enclose, touch and are the best is tested for every curve in tests/conformance."""

from __future__ import annotations

import math

import pytest
import torch

from verify import ops
from verify.relaxations.curve import NEAR_END, candidate_slopes, curve_lines, envelope_slopes, intercept, support
from verify.sets import Interval

INF = float("inf")


def interval(low: list[float], high: list[float], dtype=torch.float64) -> Interval:
    return Interval(torch.tensor([low], dtype=dtype), torch.tensor([high], dtype=dtype))


def numbers(*values: float) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float64)


def test_convex_tangent_below_and_chord_above():
    lines = curve_lines(ops.Exp(), interval([-1.0], [2.0]))
    assert lines.lower_slope.item() == pytest.approx(math.exp(0.5))
    assert lines.lower_intercept.item() == pytest.approx(0.5 * math.exp(0.5))
    assert lines.upper_slope.item() == pytest.approx((math.exp(2) - math.exp(-1)) / 3)


def test_concave_chord_below_and_tangent_above():
    lines = curve_lines(ops.Log(), interval([1.0], [3.0]))
    assert lines.lower_slope.item() == pytest.approx(math.log(3) / 2)
    assert (lines.upper_slope.item(), lines.upper_intercept.item()) == pytest.approx((0.5, math.log(2) - 1))


def test_the_tangent_of_a_cubic_through_the_far_end_is_at_half_of_it():
    """Left of 0, x^3 is concave; the tangent of z > 0 passes through (-2 z, -8 z^3)."""
    slope, = envelope_slopes(ops.Power(3), interval([-2.0], [2.0]), True, (0.5,))
    assert slope.item() == pytest.approx(3.0)


def test_a_wide_wave_has_flat_lines():
    lines = curve_lines(ops.Sin(), interval([-3.0, 100.0], [12.0, 200.0]))
    assert torch.allclose(lines.lower_slope, numbers(0, 0), atol=1e-7)
    assert torch.allclose(lines.lower_intercept, numbers(-1, -1), atol=1e-5)
    assert torch.allclose(lines.upper_intercept, numbers(1, 1), atol=1e-5)


def test_floor_is_between_lines_of_slope_1_when_wide_and_constants_when_narrow():
    lines = curve_lines(ops.Floor(), interval([0.5, 0.3], [8.5, 1.2]))
    assert lines.lower_slope.tolist() == [[1.0, 0.0]] and lines.upper_slope.tolist()[0][0] == 1.0
    assert torch.allclose(lines.lower_intercept, numbers(-1, 0), atol=1e-13)
    assert lines.upper_intercept[0, 0].item() == pytest.approx(0, abs=1e-13)


def test_sign_touches_one_side_of_its_jump():
    lines = curve_lines(ops.Sign(), interval([-1.0, -3.0], [3.0, 1.0]))
    assert torch.allclose(lines.lower_slope, numbers(2 / 3, 0)) and torch.allclose(lines.upper_slope, numbers(0, 2 / 3))


def test_the_kink_of_selu_is_a_corner_of_the_upper_hull():
    """On [-1, 1], the middle is the kink itself: left of it the chord, right of it the line x."""
    low, high = envelope_slopes(ops.Elu(2.0), interval([-1.0], [1.0]), False, (0.4, 0.6))
    assert low.item() == pytest.approx(2 * (1 - math.exp(-1))) and high.item() == pytest.approx(1)


def test_any_slope_of_a_parabola():
    """x^2 - s x is least at s / 2, or at the end that is closer; greatest at an end."""
    s = numbers(-100, -1, 0, 3, 100)
    pre = interval([-1.0], [2.0])
    below, above = intercept(ops.Power(2), pre, s, True), intercept(ops.Power(2), pre, s, False)
    assert torch.allclose(below, numbers(1 - 100, -0.25, 0, -2.25, 4 - 200), rtol=1e-12, atol=1e-12)
    assert torch.allclose(above, numbers(4 + 200, 6, 4, 4, 1 + 100), rtol=1e-12, atol=1e-12)
    assert torch.allclose(support(ops.Power(2), pre, s, True)[1], numbers(-1, -0.5, 0, 1.5, 2))


@pytest.mark.parametrize("op", [ops.Gelu(), ops.Sin(), ops.Tanh(), ops.Elu(2.0)])
def test_where_it_touches_is_minus_the_derivative_of_the_intercept(op):
    pre = interval([-3.0, -1.0, 0.5], [1.0, 4.0, 2.5])
    slope = numbers(0.2, -0.1, 0.7).requires_grad_()
    for lower in (True, False):
        t, z = support(op, pre, slope, lower)
        (gradient,) = torch.autograd.grad(t.sum(), slope)
        assert torch.allclose(z.detach(), -gradient, atol=1e-12)


def test_rows_may_have_slopes_of_their_own():
    pre = interval([-1.0, 0.0], [2.0, 1.0])
    slope = torch.linspace(-1, 1, 10, dtype=torch.float64).reshape(1, 5, 2)
    found = intercept(ops.Silu(), pre, slope, True)
    assert found.shape == (1, 5, 2)
    for row in range(5):
        assert torch.allclose(found[:, row], intercept(ops.Silu(), pre, slope[:, row], True), rtol=1e-14, atol=1e-14)
    assert intercept(ops.Sin(), pre, slope[0], False).shape == (5, 2)


@pytest.mark.parametrize("op", [ops.Log(), ops.Reciprocal(), ops.Sqrt(), ops.Power(-2), ops.Tan(), ops.Asin()])
def test_no_line_outside_of_the_domain(op):
    pre = interval([-2.0, 0.25], [2.0, 0.5])
    lines = curve_lines(op, pre)
    assert (lines.lower_intercept[0, 0].item(), lines.upper_intercept[0, 0].item()) == (-INF, INF)
    for line in (lines.lower_slope, lines.upper_slope, lines.lower_intercept[:, 1:], lines.upper_intercept[:, 1:]):
        assert torch.isfinite(line).all()


@pytest.mark.parametrize("op", [ops.Exp(), ops.Gelu(), ops.Power(3), ops.Floor(), ops.Softplus()])
def test_no_line_up_to_infinity(op):
    pre, slope = interval([0.0], [INF]), numbers(0.5)
    assert intercept(op, pre, slope, False).item() == INF
    assert not bool(torch.cat([*sum(candidate_slopes(op, pre), ())]).isnan().any())


@pytest.mark.parametrize("op", [ops.Sqrt(), ops.Asin(), ops.Acos(), ops.Acosh(), ops.Sin(), ops.Floor(), ops.Gelu()])
def test_an_interval_of_width_0(op):
    at = 1.0
    lines = curve_lines(op, interval([at], [at]))
    value = op.evaluate(numbers(at)).item()
    for slope, t in ((lines.lower_slope, lines.lower_intercept), (lines.upper_slope, lines.upper_intercept)):
        assert (slope * at + t).item() == pytest.approx(value, abs=1e-12)


def test_sqrt_at_0_has_finite_lines():
    lines = curve_lines(ops.Sqrt(), interval([0.0, 0.0], [0.0, 1e-12]))
    assert torch.isfinite(lines.upper_intercept).all() and torch.isfinite(lines.upper_slope).all()
    assert abs(lines.upper_intercept[0, 0].item()) < 1e-300


def test_the_alternative_supports_the_steeper_end():
    (_, second), _ = candidate_slopes(ops.Exp(), interval([-1.0], [1.0]))
    assert second.item() == pytest.approx(math.exp(1 - 2 * NEAR_END))
