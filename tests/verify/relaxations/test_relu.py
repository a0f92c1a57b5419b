import pytest
import torch

from verify.relaxations.relu import LOWER_SLOPES, chord, plain_relu_lines, relu_lines
from verify.sets import Interval


def test_by_hand():
    pre = Interval(torch.tensor([[-1.0, 1.0, -2.0, 0.0]]).double(), torch.tensor([[3.0, 2.0, -1.0, 0.0]]).double())
    slope, intercept = chord(pre)
    assert slope.tolist()[0] == [0.75, 1.0, 0.0, 1.0]
    assert torch.allclose(intercept, torch.tensor([[0.75, 0.0, 0.0, 0.0]]).double(), atol=1e-12)
    assert relu_lines(pre, rule="zero").lower_slope.tolist()[0] == [0.0, 1.0, 0.0, 1.0]


@pytest.mark.parametrize(("rule", "expected"), [("adaptive", [1.0, 0.0]), ("parallel", [0.75, 0.25]),
                                                ("zero", [0.0, 0.0]), ("one", [1.0, 1.0])])
def test_rules(rule, expected):
    pre = Interval(torch.tensor([[-1.0, -3.0]]), torch.tensor([[3.0, 1.0]]))
    assert LOWER_SLOPES[rule](pre).tolist() == [expected]


def test_alpha_is_projected_and_stable_neurons_ignore_it():
    pre = Interval(torch.tensor([[-1.0, 1.0, -2.0]]), torch.tensor([[3.0, 2.0, -1.0]]))
    assert relu_lines(pre, torch.tensor([[9.0, 0.5, 0.5]])).lower_slope.tolist() == [[1.0, 1.0, 0.0]]
    per_row = relu_lines(pre, torch.tensor([[[-1.0, 0.5, 0.5], [0.3, 0.0, 1.0]]]))
    assert per_row.lower_slope.tolist() == [[[0.0, 1.0, 0.0], [pytest.approx(0.3), 1.0, 0.0]]]


def test_chord_is_differentiable():
    low = torch.tensor([[-1.0, -2.0]]).double().requires_grad_()
    high = torch.tensor([[2.0, 0.5]]).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: chord(Interval(a, b)), (low, high), atol=1e-5)


def test_lines_for_training_are_the_rigorous_ones_up_to_rounding():
    ends = torch.randn(2, 4, 50, dtype=torch.float64).sort(0).values
    ends[:, 0, :3] = torch.tensor([[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    pre = Interval(ends[0], ends[1])
    found, expected = plain_relu_lines(pre), relu_lines(pre)
    touched = (pre.lower == 0) & (pre.upper == 0)
    for a, b in ((found.lower_slope, expected.lower_slope), (found.upper_slope, expected.upper_slope),
                 (found.upper_intercept, expected.upper_intercept)):
        assert torch.allclose(a[~touched], b[~touched], atol=1e-12)
