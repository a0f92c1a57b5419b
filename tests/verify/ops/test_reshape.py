"""Ops that move entries, by hand."""

from __future__ import annotations

import pytest
import torch

from verify.errors import ShapeMismatch
from verify.ops import Concat, Gather, Reshape, Transpose
from verify.sets import Interval

X = torch.arange(6.0).reshape(1, 2, 3)


def test_reshape_and_transpose():
    assert Reshape((3, 2)).evaluate(X).tolist() == [[[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]]
    assert Transpose((1, 0)).evaluate(X).tolist() == [[[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]]
    with pytest.raises(ShapeMismatch, match="reshape"):
        Reshape((4,)).output_shape((2, 3))
    with pytest.raises(ShapeMismatch, match="permutation"):
        Transpose((0, 0)).output_shape((2, 3))


def test_gather_reads_fills_and_scatters_with_addition():
    op = Gather(torch.tensor([5, 5, -1]), fill=9.0)
    assert op.evaluate(X).tolist() == [[5.0, 5.0, 9.0]] and op.offset().tolist() == [[0.0, 0.0, 9.0]]
    (back,) = op.pull_back(torch.tensor([[[1.0, 2.0, 4.0]]]), ((2, 3),))
    assert back.tolist() == [[[[0.0, 0.0, 0.0], [0.0, 0.0, 3.0]]]]
    assert op.pull_back_offset(torch.tensor([[[1.0, 2.0, 4.0]]])).item() == 36
    with pytest.raises(ShapeMismatch, match="entry 5"):
        op.output_shape((5,))


def test_what_gather_rounds():
    assert Gather(torch.tensor([2, 0, -1])).moves_only and Gather(torch.tensor([-1, -1])).moves_only
    assert not Gather(torch.tensor([2, 2])).moves_only and not Gather(torch.tensor([0, -1]), 0.1).moves_only
    zero = torch.zeros(1, 1)
    bounds = Gather(torch.tensor([-1]), 0.1).interval(Interval(zero, zero))
    assert bounds.lower.double().item() < 0.1 < bounds.upper.double().item()
    exact = Gather(torch.tensor([-1]), 0.5).interval(Interval(zero, zero))
    assert exact.lower.item() == exact.upper.item() == 0.5


def test_concat():
    assert Concat(0).evaluate(X, X[:, :1]).tolist() == [[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [0.0, 1.0, 2.0]]]
    parts = Concat(1).pull_back(torch.ones(1, 1, 2, 5), ((2, 3), (2, 2)))
    assert [tuple(part.shape) for part in parts] == [(1, 1, 2, 3), (1, 1, 2, 2)]
    for axis, shapes in ((0, ((2, 3), (2, 2))), (2, ((2, 3), (2, 3))), (0, ((2,), (2, 1)))):
        with pytest.raises(ShapeMismatch, match="concatenate"):
            Concat(axis).output_shape(*shapes)
