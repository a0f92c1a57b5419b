"""The input and constants."""

from __future__ import annotations

import pytest
import torch

from verify.errors import BrokenInvariant
from verify.ops import Constant, Input

CPU = torch.device("cpu")


def test_the_input_has_no_rules():
    op = Input((2, 3))
    assert op.linear and op.output_shape() == (2, 3)
    for rule in (op.evaluate, op.interval):
        with pytest.raises(BrokenInvariant, match="input node"):
            rule()


def test_constants():
    op = Constant(torch.tensor([1.0, -2.0]))
    assert op.evaluate().tolist() == [[1.0, -2.0]] and op.output_shape() == (2,)
    assert op.pull_back(torch.ones(1, 1, 2), ()) == () and op.pull_back_offset(torch.ones(1, 1, 2)).item() == -1


def test_a_constant_that_float32_cannot_hold_is_enclosed():
    bounds = Constant(torch.tensor([0.1], dtype=torch.float64)).to(CPU, torch.float32).interval()
    assert bounds.lower.double().item() < 0.1 < bounds.upper.double().item()
