"""What cannot be grafted is refused before anything is computed."""

from __future__ import annotations

import pytest

from grafting.choices import Choices
from verify.errors import InvalidInput


@pytest.mark.parametrize(("change", "message"), [
    ({"ratio": 1.0}, "at least 0 and below 1"), ({"ratio": -0.5}, "at least 0 and below 1"),
    ({"score": "best"}, "--score takes paper"), ({"init": "best"}, "--init takes least-squares"),
    ({"bounds": "ibp"}, "--bounds takes alpha-crown, crown"), ({"rounds": 0}, "--rounds must be at least 1"),
    ({"finetune_epochs": -1}, "--finetune-epochs must be at least 0"), ({"eps": -0.1}, "--eps must not be negative"),
    ({"init": "zero", "finetune_epochs": 2, "freeze_weights": True}, "nothing to fine-tune"),
])
def test_refused(change, message):
    with pytest.raises(InvalidInput, match=message):
        Choices(**{"eps": 0.1, **change})


def test_zero_is_a_ratio():
    assert Choices(0.1, ratio=0.0).ratio == 0
