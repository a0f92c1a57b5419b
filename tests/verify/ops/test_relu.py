"""ReLU, by hand."""

from __future__ import annotations

import torch

from verify.ops import Relu
from verify.sets import Interval


def test_values_and_interval():
    x = torch.tensor([[-1.0, 0.0, 2.0]])
    assert Relu().evaluate(x).tolist() == [[0.0, 0.0, 2.0]] and not Relu().linear
    bounds = Relu().interval(Interval(x - 1, x))
    assert bounds.lower.tolist() == [[0.0, 0.0, 1.0]] and bounds.upper.tolist() == [[0.0, 0.0, 2.0]]


def test_nan_stays_nan():
    assert Relu().evaluate(torch.tensor([[float("nan")]])).isnan().all()
