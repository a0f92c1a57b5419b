"""Sums over axes, by hand."""

from __future__ import annotations

import torch

from verify.ops import Sum
from verify.sets import Interval

X = torch.arange(6.0).reshape(1, 2, 3)


def test_axes_stay_with_size_one():
    assert Sum((1,)).evaluate(X).tolist() == [[[3.0], [12.0]]] and Sum((0, 1)).output_shape((2, 3)) == (1, 1)
    assert Sum((0,)).terms((2, 3)) == 2


def test_every_entry_gets_the_coefficient():
    (back,) = Sum((1,)).pull_back(torch.tensor([[[[5.0], [7.0]]]]), ((2, 3),))
    assert back.tolist() == [[[[5.0] * 3, [7.0] * 3]]]


def test_intervals_keep_their_sign_however_wide():
    wide = Interval(torch.zeros(1, 3), torch.tensor([[1.0, 1e30, 2.0]]))
    found = Sum((0,)).interval(wide)
    assert found.lower == 0 and found.upper >= 1e30
    endless = Sum((0,)).interval(Interval(torch.ones(1, 3), torch.full((1, 3), torch.inf)))
    assert 2.999 < endless.lower <= 3 and endless.upper == torch.inf
    assert Sum((0,)).interval(Interval(-endless.upper.expand(1, 3), torch.ones(1, 3))).lower == -torch.inf
