"""Products, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from verify.errors import ShapeMismatch
from verify.ops import Product
from verify.sets import Interval


def interval(*ends: tuple[float, float]) -> Interval:
    lower, upper = zip(*ends, strict=True)
    return Interval(torch.tensor([lower], dtype=torch.float64), torch.tensor([upper], dtype=torch.float64))


def test_the_extremes_are_at_corners():
    a, b = interval((-1, 2), (1, 2), (-3, -1)), interval((-3, 1), (4, 5), (-2, 4))
    bounds = Product().interval(a, b)
    assert torch.allclose(bounds.lower, torch.tensor([[-6.0, 4.0, -12.0]]).double())
    assert torch.allclose(bounds.upper, torch.tensor([[3.0, 10.0, 6.0]]).double())


def test_a_factor_that_is_zero_gives_exactly_zero():
    bounds = Product().interval(interval((0, 0), (0, 1)), interval((-2, 3), (2, 3)))
    assert bounds.lower.tolist() == [[0.0, 0.0]] and bounds.upper[0, 0] == 0.0


def test_an_unbounded_factor_has_no_bound_but_no_nan():
    bounds = Product().interval(interval((0, 1)), interval((1, math.inf)))
    assert bounds.lower.tolist() == [[-math.inf]] and bounds.upper.tolist() == [[math.inf]]


def test_products_that_underflow_are_enclosed():
    tiny = interval((1e-200, 2e-200))
    bounds = Product().interval(tiny, tiny)
    assert float(bounds.lower) <= 0 < float(bounds.upper)


def test_shapes_must_agree():
    with pytest.raises(ShapeMismatch, match="multiply"):
        Product().output_shape((2,), (3,))
