"""Controls: equal numbers of epochs, the same ratio at random, and nothing trained twice."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from pruning.controls import Controls, reset
from pruning.plan import Plan
from pruning.prune import prune
from pruning.rounds import digest
from pruning.schedule import saved
from training.data import Data, from_arrays
from training.settings import settings_for

SETTINGS = settings_for("standard", epochs=1, eps=0.02, batch=32, nrs=0.1, flip=True, device="cpu")
PLAN = Plan("taylor", remaining=(0.5, 0.3), scope="all", check_images=8, score_images=16, max_drop_clean=1,
            max_drop_pgd=1)


@pytest.fixture(scope="module")
def data() -> Data:
    generator = np.random.default_rng(0)
    y = generator.integers(2, size=120)
    x = generator.random((120, 4, 4)) * 0.5
    x[y == 1, :2] += 0.4
    return from_arrays(x.astype(np.float32), y, validation=0.2)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))


def controls(data: Data, folder, **changes) -> Controls:
    given = {"folder": folder, "model": network(), "known": True, "dense": None, "data": data, "settings": SETTINGS,
             "plan": PLAN, "rounds": 2}
    return Controls(**(given | changes))


def test_all_train_as_long_as_all_rounds(data, tmp_path):
    made = controls(data, tmp_path)
    assert made.longer() == dataclasses.replace(SETTINGS, epochs=3)
    assert made.regularised() == dataclasses.replace(SETTINGS, epochs=3, rs=0.1, nrs=0.0)
    bounds = made.certified()
    assert (bounds.recipe, bounds.epochs, bounds.eps, bounds.flip, bounds.batch) == ("ibp", 3, 0.02, True, 32)
    assert controls(data, tmp_path, known=False).longer().epochs == 2, "the dense network has had its epochs"


def test_networks_are_made_once(data, tmp_path):
    said, epochs = [], []
    found = controls(data, tmp_path).make(said.append, epochs.append)
    assert set(found) == {"more-epochs", "rs", "ibp", "random-mask"}
    assert len({path.read_bytes() for path in found.values()}) == 4
    assert len(said) == 4 and len(epochs) == 3 * 3 + 3
    again, more = [], []
    assert controls(data, tmp_path).make(again.append, more.append) == found
    assert more == [] and len(again) == 1


def test_the_random_mask_has_the_ratio_of_the_selected_round(data, tmp_path):
    for criterion, seed in (("taylor", 0), ("random", 1)):
        made = controls(data, tmp_path / criterion, plan=dataclasses.replace(PLAN, criterion=criterion))
        path = made._random(lambda epoch: None)
        plan = dataclasses.replace(PLAN, criterion="random", seed=seed)
        own = prune(network(), data, SETTINGS, plan, tmp_path / f"own {criterion}")
        assert path.read_bytes() == own.rounds[2].onnx.read_bytes()


def test_fresh_weights_come_from_the_seed():
    model = network()
    before = digest(saved(model))
    assert digest(saved(reset(model, 0))) == digest(saved(reset(model, 0))) != digest(saved(reset(model, 1)))
    assert digest(saved(model)) == before
