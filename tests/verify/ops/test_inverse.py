"""Tables of the inverse of a derivative: f(z) = -cos(z) and f(z) = exp(-z^2 / 2)."""

from __future__ import annotations

import math

import torch

from verify.ops.inverse import between, beyond


def bell(z: torch.Tensor) -> torch.Tensor:
    """f' of exp(-z^2 / 2), with points of inflection at -1 and 1."""
    return -z * torch.exp(-z * z / 2)


def test_between_points_of_inflection():
    inverse = between(torch.sin, -math.pi / 2, math.pi / 2)
    s = torch.linspace(-1, 1, 1001, dtype=torch.float64)
    assert torch.allclose(inverse(s), torch.asin(s), atol=1e-7)
    assert torch.allclose(torch.sin(inverse(s)), s, rtol=0, atol=1e-12)


def test_beyond_the_last_point_of_inflection():
    inverse = beyond(bell, 1.0, 9.0, 0.0)
    z = torch.linspace(1, 6, 1001, dtype=torch.float64)
    assert torch.allclose(bell(inverse(bell(z))), bell(z), rtol=1e-9, atol=1e-12)


def test_other_slopes_give_the_closer_end():
    inner, outer = between(bell, 1.0, -1.0), beyond(bell, 1.0, 9.0, 0.0)
    s = torch.tensor([-5.0, 5.0], dtype=torch.float64)
    assert torch.allclose(inner(s), torch.tensor([1.0, -1.0], dtype=torch.float64), atol=1e-6)
    assert abs(outer(s)[0].item() - 1.0) < 1e-6 and outer(s)[1].item() > 6.9


def test_float32():
    inverse = between(torch.sin, -math.pi / 2, math.pi / 2).to(torch.float32, torch.device("cpu"))
    s = torch.linspace(-1, 1, 101)
    assert inverse(s).dtype == torch.float32 and torch.allclose(torch.sin(inverse(s)), s, atol=1e-6)
