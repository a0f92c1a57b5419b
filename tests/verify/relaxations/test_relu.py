import pytest
import torch

from verify.relaxations.relu import LOWER_SLOPES, PlainReluLines, chord, relu_lines
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


def unstable_and_stable() -> tuple[Interval, torch.Tensor]:
    """Random intervals and rows (n, r, *shape) = (4, 3, 2, 25)."""
    generator = torch.Generator().manual_seed(0)
    ends = torch.randn(2, 4, 2, 25, dtype=torch.float64, generator=generator).sort(0).values
    return Interval(ends[0], ends[1]), torch.randn(4, 3, 2, 25, dtype=torch.float64, generator=generator)


def test_lines_for_training_are_the_rigorous_ones_up_to_rounding():
    pre, coeff = unstable_and_stable()
    for found, expected in zip(PlainReluLines(pre).pull_back(coeff), relu_lines(pre).pull_back(coeff), strict=True):
        assert torch.allclose(found, expected, atol=1e-12)
    at_zero = Interval(torch.tensor([[-1.0, 0.0, 0.0]]), torch.tensor([[0.0, 1.0, 0.0]]))
    rows, offset = PlainReluLines(at_zero).pull_back(torch.tensor([[[1.0, 1.0, 1.0]], ]))
    assert rows.tolist() == [[[0.0, 1.0, 0.0]]] and offset.tolist() == [[0.0]]
    assert PlainReluLines(at_zero).pull_back(-torch.ones(1, 1, 3))[0].tolist() == [[[0.0, -1.0, 0.0]]]


def test_gradients_of_lines_for_training():
    pre, coeff = unstable_and_stable()
    inputs = [value.clone().requires_grad_() for value in (coeff, pre.lower, pre.upper)]
    assert torch.autograd.gradcheck(lambda a, low, high: PlainReluLines(Interval(low, high)).pull_back(a), inputs)
