"""Convolutions, by hand."""

from __future__ import annotations

import pytest
import torch

from verify.errors import ShapeMismatch
from verify.ops import Add, Conv, ConvTranspose, Linear, Sum

IMAGE = torch.tensor([[[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]]])


def test_convolution():
    op = Conv(torch.tensor([[[[1.0, -1.0]]]]), torch.tensor([10.0]), stride=(1, 2), padding=(0, 1))
    assert op.evaluate(IMAGE).tolist() == [[[[[9.0, 9.0], [6.0, 9.0]]]]]
    assert op.output_shape((1, 1, 2, 3)) == (1, 1, 2, 2)


def test_transposed():
    op = ConvTranspose(torch.tensor([[[[1.0, 1.0]]]]), None, stride=(1, 2))
    assert op.evaluate(IMAGE[..., :2]).tolist() == [[[[[1.0, 1.0, 2.0, 2.0], [4.0, 4.0, 5.0, 5.0]]]]]
    assert op.output_shape((1, 1, 2, 2)) == (1, 1, 2, 4)


def test_shapes_that_do_not_fit():
    weight = torch.ones(1, 2, 3, 3)
    for op, shape in ((Conv(weight), (1, 1, 5, 5)), (Conv(weight), (1, 2, 2, 5)), (Conv(weight), (2, 5)),
                      (ConvTranspose(weight), (1, 2, 5, 5))):
        with pytest.raises(ShapeMismatch, match=r"channels|fit"):
            op.output_shape(shape)


def test_terms_of_both_directions():
    wide = Conv(torch.ones(8, 1, 3, 3))
    assert wide.terms((1, 1, 5, 5)) == 72 and Conv(torch.ones(1, 8, 3, 3)).terms((1, 8, 5, 5)) == 73
    assert ConvTranspose(torch.ones(1, 8, 3, 3)).terms((1, 1, 5, 5)) == 73


def test_terms_of_the_output_alone():
    """What an execution sums, offset included: the transpose may sum far more."""
    assert Conv(torch.ones(8, 1, 3, 3)).forward_terms((1, 1, 5, 5)) == 10
    assert Conv(torch.ones(8, 2, 3, 3), groups=4).forward_terms((1, 8, 5, 5)) == 19
    assert ConvTranspose(torch.ones(4, 8, 3, 3), groups=2).forward_terms((1, 4, 5, 5)) == 19
    assert Linear(torch.ones(50, 3)).forward_terms((1, 3)) == 4
    assert Sum((1,)).forward_terms((1, 7)) == 7 and Add().forward_terms((1, 2), (1, 2)) == 2
