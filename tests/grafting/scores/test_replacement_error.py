"""Neurons that lines replace exactly come first."""

from __future__ import annotations

import torch

from grafting.scores.replacement_error import replacement_error
from tests.grafting.scores.contexts import context


def test_always_on_is_replaced_exactly():
    c = context()
    with torch.no_grad():
        c.model[1].bias[3] = 100.0
    (ranking,) = replacement_error(c)
    assert ranking["2"][3] == 0 and (ranking["2"] <= 0).all() and ranking["2"].min() < 0
