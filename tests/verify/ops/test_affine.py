"""Elementwise affine maps, by hand."""

from __future__ import annotations

import torch

from verify.ops import Affine

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
