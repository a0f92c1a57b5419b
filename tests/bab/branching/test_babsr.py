import torch

from bab.branching import NeuronView, babsr, intercept, relaxation_gap


def view(coeff, z, alpha=0.5, bias=0.0):
    one = torch.ones(1, dtype=torch.float64)
    return NeuronView(one.unsqueeze(0) * coeff, one.unsqueeze(0) * z, one.unsqueeze(0) * alpha, -one, 3 * one,
                      one * bias)


def test_intercept_by_hand():
    """-l u / (u - l) = 3/4 for a coefficient of -2; nothing for a positive one."""
    assert intercept(view(-2.0, 0.0)).item() == 1.5
    assert intercept(view(2.0, 0.0)).item() == 0.0


def test_gap_is_the_distance_of_the_line_in_use():
    assert relaxation_gap(view(2.0, 2.0)).item() == 2.0  # |0.5 * 2 - 2| * 2
    assert relaxation_gap(view(-2.0, 1.0)).item() == 1.0  # chord 3/4 (1 + 1) = 1.5 above relu(1) = 1
    assert relaxation_gap(view(-2.0, 3.0)).item() == 0.0  # the chord is exact at the ends
    assert relaxation_gap(view(2.0, 2.0, alpha=1.0)).item() == 0.0


def test_a_larger_coefficient_scores_higher():
    assert babsr(view(-2.0, 0.0, bias=0.5)).item() > babsr(view(-1.0, 0.0, bias=0.5)).item() > 0
