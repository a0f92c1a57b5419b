"""Convolutions, by hand."""

from __future__ import annotations

import pytest
import torch

from verify.errors import ShapeMismatch
from verify.ops import Conv, ConvTranspose

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
