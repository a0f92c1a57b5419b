"""Signed sums, by hand."""

from __future__ import annotations

import pytest
import torch

from verify.errors import ShapeMismatch
from verify.ops import Add


def test_signs():
    a, b, c = (torch.tensor([[v]]) for v in (1.0, 10.0, 100.0))
    op = Add((-1, 1, -1))
    assert op.evaluate(a, b, c).item() == -91 and op.spread(a, b, c).item() == 111
    coeff = torch.tensor([[[2.0]]])
    assert [part.item() for part in op.pull_back(coeff, ((1,),) * 3)] == [-2, 2, -2]


def test_shapes_must_be_equal():
    for shapes in (((2,), (3,)), ((2,),), ((2,), (2,), (2,))):
        with pytest.raises(ShapeMismatch, match="add"):
            Add().output_shape(*shapes)
