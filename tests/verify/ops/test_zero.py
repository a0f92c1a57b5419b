"""Zeros of rising functions."""

from __future__ import annotations

import torch

from verify.ops.zero import zero_between


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_zeros_of_different_functions_at_once():
    power, level = column(1, 2, 3, 8), column(0.5, 0.3, 0.9, 0.1)
    found = zero_between(column(0, 0, 0, 0), column(1, 1, 1, 1), lambda z: z**power - level)
    assert torch.allclose(found, level ** (1 / power), atol=1e-9)


def test_without_a_zero_it_ends_near_the_closer_end():
    found = zero_between(column(1, 1), column(2, 2), lambda z: z - column(0.5, 7.0))
    assert torch.allclose(found, column(1, 2), atol=1e-2)


def test_a_flat_function_and_a_point_are_no_problem():
    found = zero_between(column(0, 3), column(1, 3), lambda z: z * 0)
    assert torch.isfinite(found).all() and found[1] == 3
