"""Erf by hand."""

from __future__ import annotations

import math

import pytest
import torch

from verify.ops import Erf


def test_values_and_stationary_points():
    x = torch.tensor([-2.0, 0.3, 1.0], dtype=torch.float64)
    assert Erf().evaluate(x).tolist() == pytest.approx([math.erf(v) for v in x.tolist()], rel=1e-15)
    slope = Erf().derivative(x.abs())
    assert torch.allclose(Erf().stationary(slope, x, x, convex=True), -x.abs(), rtol=1e-12)
    assert torch.allclose(Erf().stationary(slope, x, x, convex=False), x.abs(), rtol=1e-12)
