"""The context's batches and what happens without images."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pruning.criteria.base import Context, per_unit, working_copy
from pruning.layers import Scope
from pruning.mask import Mask
from verify.errors import InvalidInput


def test_batches_are_a_permutation_that_the_seed_fixes():
    x, y = torch.arange(10.0).reshape(10, 1), torch.arange(10)
    mask = Mask.ones(nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 2)))
    parts = list(Context(mask, x, y, batch=4).batches())
    assert [len(part) for part, _ in parts] == [4, 4, 2]
    seen = torch.cat([labels for _, labels in parts])
    assert seen.sort().values.tolist() == list(range(10)) and seen.tolist() != list(range(10))
    assert all(torch.equal(images.flatten().long(), labels) for images, labels in parts)
    other = torch.cat([labels for _, labels in Context(mask, x, y, batch=4, seed=1).batches()])
    assert not torch.equal(seen, other)


def test_missing_images_are_named():
    mask = Mask.ones(nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 2)))
    empty = Context(mask, torch.zeros(0, 1), torch.zeros(0, dtype=torch.long))
    with pytest.raises(InvalidInput, match="no training images"):
        next(empty.batches())
    with pytest.raises(InvalidInput, match="no held-out images"):
        next(empty.boxes(4))


def test_only_normalisations_change_their_mode():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Dropout(), nn.Linear(3, 2))
    mask = Mask.ones(model)
    x, y = torch.zeros(4, 2), torch.zeros(4, dtype=torch.long)
    copied = working_copy(model, Context(mask, x, y, batch_statistics=True))
    assert copied[1].training and not copied[3].training
    assert not working_copy(model, Context(mask, x, y))[1].training


def test_channels_add_up_the_parameters_that_scale_them():
    plain = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    values = {"0.weight": torch.tensor([[1.0, 2], [3, 4]]), "0.bias": torch.tensor([10.0, 20])}
    assert per_unit(Mask.ones(plain, Scope(), True), values)["0.weight"].tolist() == [13, 27]
    normed = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.ReLU(), nn.Linear(2, 2))
    values |= {"1.weight": torch.tensor([0.5, 1]), "1.bias": torch.tensor([2.0, 3])}
    assert per_unit(Mask.ones(normed, Scope(), True), values)["0.weight"].tolist() == [2.5, 4]
