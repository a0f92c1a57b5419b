"""Linear, by hand."""

from __future__ import annotations

import pytest
import torch

from verify.errors import ShapeMismatch
from verify.ops import Linear
from verify.sets import Interval

OP = Linear(torch.tensor([[1.0, 2.0], [0.0, -1.0], [3.0, 0.0]]), torch.tensor([1.0, 0.0, -1.0]))


def test_values_and_shapes():
    assert OP.evaluate(torch.tensor([[1.0, 1.0]])).tolist() == [[4.0, -1.0, 2.0]]
    assert OP.output_shape((5, 2)) == (5, 3)
    for shape in ((3,), ()):
        with pytest.raises(ShapeMismatch, match="2 inputs"):
            OP.output_shape(shape)


def test_rows_backwards():
    coeff = torch.tensor([[[1.0, 1.0, 1.0]]])
    assert OP.pull_back(coeff, ((2,),))[0].tolist() == [[[4.0, 1.0]]] and OP.pull_back_offset(coeff).tolist() == [[0.0]]


def test_noise_of_merged_weights_is_charged_in_float64():
    one = torch.ones(1, 1)
    plain, noisy = Linear(one), Linear(one, None, None, torch.tensor([1e6]), torch.tensor([1e3]))
    extra = noisy.rounding(one) - plain.rounding(one)
    assert 1e9 * 1e-16 < extra.item() < 1e9 * 1e-14


def test_rows_without_weights_are_exactly_zero():
    weight, zero = torch.tensor([[1.0, 2.0], [0.0, 0.0], [0.0, 0.0]]), torch.zeros(3)
    box = Interval(torch.full((1, 2), -7.0), torch.full((1, 2), 7.0))
    op = Linear(weight, torch.tensor([0.0, 0.0, 1.0]))
    found = op.interval(box)
    assert op.silent.tolist() == [False, True, False] and found.lower[0, 1] == found.upper[0, 1] == 0
    assert found.lower[0, 2] < 1 < found.upper[0, 2] and op.rounding(box.magnitude)[0, 1] == 0
    noisy = Linear(weight, zero, zero, torch.tensor([0.0, 1.0, 0.0]), torch.ones(2))
    assert noisy.silent.tolist() == [False, False, True] and Linear(weight[:1]).silent is None
