"""The cheap look: numbers by hand on a linear classifier, their order, and that nothing is touched."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from pruning.measure import checked, correct, pick
from verify.errors import InvalidInput


def test_linear_classifier_by_hand():
    """f = (relu(x1), relu(x2)): class 0 wins by x1 - x2; within 0.1 the margin moves by 0.2."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False), nn.ReLU())
    model[1].weight.data = torch.eye(2)
    x = torch.tensor([[0.9, 0.1], [0.5, 0.35], [0.4, 0.6], [0.5, 0.5]]).reshape(4, 1, 1, 2)
    found = checked(model, x, torch.zeros(4, dtype=torch.long), 0.1, 4)
    assert (found.images, found.clean, found.checked, found.pgd, found.verified) == (4, 0.5, 4, 0.25, 0.25)
    assert found.unstable == 0
    assert correct(model, x, torch.zeros(4, dtype=torch.long)).tolist() == [True, True, False, False], "a tie is wrong"


def test_order_and_side_effects():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)).train()
    state = copy.deepcopy(model.state_dict())
    x, y = torch.rand(30, 1, 6, 6), torch.randint(3, (30,))
    found = checked(model, x, y, 0.02, 20)
    assert found.verified <= found.pgd and 0 <= found.unstable <= 1 and found.checked == 20
    assert checked(model, x, y, 0.02, 20) == found
    assert model.training and all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert checked(model, x, y, 0.5, 20).unstable > found.unstable
    deep = nn.Sequential(nn.Flatten(), nn.Linear(36, 9), nn.ReLU(), nn.Linear(9, 9), nn.ReLU(), nn.Linear(9, 3))
    assert checked(deep, x, y, 0.1, 20, bounds="ibp").unstable > checked(deep, x, y, 0.1, 20).unstable


def test_no_validation_images():
    with pytest.raises(InvalidInput, match="no validation images"):
        checked(nn.Linear(2, 2), torch.zeros(0, 2), torch.zeros(0, dtype=torch.long), 0.1, 4)


def test_picks_are_fixed_by_the_seed():
    assert pick(10, 4, 0).tolist() == pick(10, 10, 0)[:4].tolist() != pick(10, 4, 1).tolist()
    assert len(pick(3, 10, 0)) == 3
