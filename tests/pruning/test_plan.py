"""What a plan refuses."""

from __future__ import annotations

import json

import pytest

from pruning.plan import Plan
from verify.errors import InvalidInput


@pytest.mark.parametrize(("changes", "message"), [
    ({"bounds": "lp"}, "crown or ibp"), ({"when": "later"}, "'later'"),
    ({"score_images": 0}, "score_images must be at least 1"),
    ({"score_epochs": 0}, "score_epochs"), ({"check_images": 0}, "check_images"),
    ({"max_drop_pgd": -0.1}, "max_drop_pgd"),
    ({"max_drop_clean": 5}, "max_drop_clean is a share"), ({"patience": -1}, "patience"), ({"seed": -1}, "seed"),
    ({"when": "init", "rewind": "none"}, "not with 'none'"),
])
def test_refusals(changes, message):
    with pytest.raises(InvalidInput, match=message):
        Plan(**changes)


def test_plain_values():
    plan = Plan("nrs", [0.5, 0.25], structured=True)
    assert plan.kind == "channel" and plan.remaining == (0.5, 0.25)
    assert json.loads(json.dumps(plan.as_dict()))["remaining"] == [0.5, 0.25]
