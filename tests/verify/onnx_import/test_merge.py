"""Merged maps: the rounding that folding may have done is inside what the merged op charges (checked exactly)."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from tests.verify.onnx_import.graphs import tensor
from verify.onnx_import import merge
from verify.ops import Affine, Conv, Linear


def exact(linear: Linear) -> tuple[list[list[Fraction]], list[Fraction]]:
    weight = [[Fraction(v) for v in row] for row in linear.weight.tolist()]
    return weight, [Fraction(v) for v in linear.bias.tolist()]


def apply(weight, bias, x):
    return [sum((w * v for w, v in zip(row, x, strict=True)), start=b) for row, b in zip(weight, bias, strict=True)]


def cancelling(o: int, i: int, seed: int) -> Linear:
    """Large weights and biases of both signs, so that products cancel."""
    return Linear(tensor(o, i, seed=seed) * 1e6, tensor(o, seed=seed) * 1e8)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("seed", range(10))
def test_linear_chain_charges_its_rounding(seed, dtype):
    first, second, third = cancelling(40, 3, seed), cancelling(5, 40, seed + 1), cancelling(2, 5, seed + 2)
    merged = merge.linear_after_linear(merge.linear_after_linear(first, second), third)
    merged = merged.to(torch.device("cpu"), dtype)
    x = tensor(1, 3, seed=seed).to(dtype)
    truth = [Fraction(v) for v in x[0].tolist()]
    for layer in (first, second, third):
        truth = apply(*exact(layer), truth)
    got = merged.evaluate(x)[0].tolist()
    charged = merged.rounding(x.abs())[0].tolist()
    assert all(abs(Fraction(g) - t) <= Fraction(c) for g, t, c in zip(got, truth, charged, strict=True))


@pytest.mark.parametrize("seed", range(10))
def test_folded_affines_charge_their_rounding(seed):
    linear = cancelling(4, 6, seed)
    before = Affine(tensor(6, seed=seed), tensor(6, seed=seed + 1) * 1e7)
    after = Affine(tensor(4, seed=seed), -linear.bias * tensor(4, seed=seed) * (1 + 1e-12))
    merged = merge.affine_after_linear(merge.linear_after_affine(before, linear), after)
    x = tensor(1, 6, seed=seed + 3)
    value = [Fraction(s) * Fraction(v) + Fraction(t) for s, v, t in
             zip(before.scale.tolist(), x[0].tolist(), before.shift.tolist(), strict=True)]
    value = apply(*exact(linear), value)
    truth = [Fraction(s) * v + Fraction(t) for s, v, t in
             zip(after.scale.tolist(), value, after.shift.tolist(), strict=True)]
    got, charged = merged.evaluate(x)[0].tolist(), merged.rounding(x.abs())[0].tolist()
    assert all(abs(Fraction(g) - t) <= Fraction(c) for g, t, c in zip(got, truth, charged, strict=True))


def test_cancelled_shift_keeps_its_terms():
    merged = merge.affine_after_affine(Affine(None, torch.tensor([1e8])), Affine(None, torch.tensor([-1e8])))
    assert merged.shift.item() == 0 and merged.shift_magnitude.item() >= 2e8
    bias = merge.affine_after_linear(Linear(tensor(1, 2), torch.tensor([3.0])), Affine(None, torch.tensor([-3.0])))
    assert bias.bias.item() == 0 and bias.bias_magnitude.item() >= 6
    conv = Conv(torch.ones(1, 1, 1, 1, dtype=torch.float64), torch.tensor([3.0]))
    assert merge.affine_after_conv(conv, Affine(None, torch.tensor([-3.0]))).bias_magnitude.item() >= 6
    assert merge.conv_after_affine(Affine(None, torch.tensor([-3.0])), conv).bias_magnitude.item() >= 6


def test_by_hand():
    first = Linear(torch.tensor([[1.0, 2.0], [0.0, 1.0]]), torch.tensor([1.0, -1.0]))
    second = Linear(torch.tensor([[3.0, -1.0]]), torch.tensor([5.0]))
    merged = merge.linear_after_linear(first, second)
    assert merged.weight.tolist() == [[3.0, 5.0]] and merged.bias.tolist() == [9.0]
    assert merged.row_noise.item() >= 4 and merged.column_noise.tolist() == [1.0, 2.0]
    assert merged.bias_magnitude.item() >= 3 + 1 + 5


def test_what_is_no_vector_is_refused():
    assert merge.along_last_axis(None, 3) is None and merge.along_channels(None, 3) is None
    assert merge.along_last_axis(torch.tensor(2.0), 2).tolist() == [2.0, 2.0]
    for value in (torch.ones(2, 3), torch.ones(3, 1), torch.ones(2)):
        with pytest.raises(ValueError, match="axes"):
            merge.along_last_axis(value, 3)
    for value in (torch.ones(3), torch.ones(3, 2, 1), torch.ones(2, 3, 1, 1)):
        with pytest.raises(ValueError, match="positions"):
            merge.along_channels(value, 3)


def test_factors_whose_products_underflow_are_recognised():
    small = torch.tensor([1e-100, 0.0, 1.0], dtype=torch.float64)
    normal = torch.tensor([1e-60, 1e60], dtype=torch.float64)
    assert merge.underflows(small, normal) and not merge.underflows(normal, normal)
    assert not merge.underflows(small, None) and not merge.underflows(small * 0, normal)
