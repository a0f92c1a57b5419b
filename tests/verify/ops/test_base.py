"""Rules that every linear primitive inherits."""

from __future__ import annotations

import torch

from verify.ops import Linear, Relu
from verify.ops.base import wide_sum
from verify.sets import Interval, gamma


def test_sums_of_float32_are_taken_in_float64():
    """2^25 + 1 + ... + 1: float32 would lose every one of them."""
    products = torch.cat([torch.tensor([2.0**25]), torch.ones(64)]).reshape(1, 1, 5, 13)
    assert wide_sum(products).item() == 2.0**25 + 64 and wide_sum(products).dtype == torch.float32


def test_moving_keeps_integers_and_what_has_no_tensors():
    relu = Relu()
    assert relu.to(torch.device("cpu"), torch.float32) is relu


def test_rounding_counts_the_longer_of_both_directions():
    tall = Linear(torch.ones(100, 1, dtype=torch.float64))
    assert tall.terms((1,)) == 100
    assert torch.equal(tall.rounding(torch.ones(1, 1, dtype=torch.float64)),
                       torch.full((1, 100), gamma(100, torch.float64), dtype=torch.float64))


def test_interval_by_hand():
    op = Linear(torch.tensor([[1.0, -2.0]], dtype=torch.float64), torch.tensor([0.5], dtype=torch.float64))
    box = Interval(torch.tensor([[0.0, -1.0]], dtype=torch.float64), torch.tensor([[1.0, 3.0]], dtype=torch.float64))
    bounds = op.interval(box)
    assert bounds.lower.item() <= -5.5 and bounds.upper.item() >= 3.5
    assert abs(bounds.lower.item() + 5.5) < 1e-13 and abs(bounds.upper.item() - 3.5) < 1e-13
