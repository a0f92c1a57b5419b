"""Elementwise affine maps, by hand."""

from __future__ import annotations

import torch

from verify.ops import Affine
from verify.sets import Interval

X = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])


def test_broadcasting():
    op = Affine(torch.tensor([[2.0], [0.0]]), torch.tensor([1.0, -1.0]))
    assert op.evaluate(X).tolist() == [[[3.0, 3.0], [1.0, -1.0]]] and op.output_shape((2, 2)) == (2, 2)
    coeff = torch.ones(1, 1, 2, 2)
    assert op.pull_back(coeff, ((2, 2),))[0].tolist() == [[[[2.0, 2.0], [0.0, 0.0]]]]
    assert op.pull_back_offset(coeff).tolist() == [[0.0]]


def test_nothing_given_is_the_identity():
    assert torch.equal(Affine().evaluate(X), X) and Affine().offset() is None and Affine().offset_magnitude() is None


def test_magnitude_of_folded_terms():
    assert Affine(None, torch.zeros(1), torch.tensor([7.0])).offset_magnitude().item() == 7


def test_a_factor_of_zero_gives_exactly_zero():
    """Whatever it multiplies; a shift, or one that cancelled to zero, is not exactly zero."""
    scale, wide = torch.tensor([1.0, 0.0]), Interval(torch.tensor([[-1e30, -1e30]]), torch.tensor([[1e30, torch.inf]]))
    found = Affine(scale).interval(wide)
    assert found.lower[0, 1] == found.upper[0, 1] == 0 and found.lower[0, 0] < -1e30
    assert Affine(scale).rounding(wide.magnitude)[0].tolist()[1] == 0 < Affine(scale).rounding(wide.magnitude)[0, 0]
    assert Affine(scale).silent.tolist() == [False, True] and Affine(torch.ones(2)).silent is None
    for op in (Affine(scale, torch.ones(2)), Affine(scale, torch.zeros(2), torch.tensor([0.0, 1.0])), Affine()):
        assert op.silent is None


def test_what_float32_cannot_hold_is_not_zero():
    op = Affine(torch.tensor([1e-60, 0.0], dtype=torch.float64)).to(torch.device("cpu"), torch.float32)
    assert op.silent.tolist() == [False, True] and op.scale[0] > 0


def test_intervals_keep_their_sign_however_wide():
    wide = Interval(torch.tensor([[0.0]]), torch.tensor([[1e30]]))
    assert Affine(torch.tensor([2.0])).interval(wide).lower == 0
    assert Affine(torch.tensor([-2.0])).interval(wide).upper == 0
    assert Affine(None, torch.tensor([1.0])).interval(wide).lower > 0.999
    endless = Affine(torch.tensor([-2.0]), torch.tensor([1.0])).interval(Interval(wide.lower, wide.upper * torch.inf))
    assert endless.lower == -torch.inf and 1 <= endless.upper < 1.001


def test_intervals_enclose_what_underflows():
    tiny = torch.full((1, 1), 1e-30)
    found = Affine(torch.tensor([1e-30])).interval(Interval(tiny, tiny))
    assert found.lower <= 0 < found.upper
