"""What a schedule can start from, and how it is trained."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from pruning.lossless import lossless
from pruning.plan import Plan
from pruning.rounds import digest
from pruning.schedule import saved
from pruning.start import begin, chosen_test, has_initial, removed, settings_of, split_note
from training.data import from_arrays
from training.export import LoadedModel
from training.models import build
from training.settings import settings_for
from verify.errors import InvalidInput

BUILD = {"arch": "mlp-2x6", "input_shape": (1, 2, 2), "classes": 2, "seed": 3}
SETTINGS = settings_for("fgsm", eps=0.1, epochs=7, nrs=0.5, seed=3)


def loaded(**changes) -> LoadedModel:
    """As `load_model` gives a run of `verify train --arch`."""
    module = build(**BUILD).eval()
    with torch.no_grad():
        for value in module.parameters():
            value.mul_(1.5)
    manifest = {"sha256": "", "arch": "mlp-2x6", "settings": SETTINGS.as_dict(), "data": {"digest": "d"}}
    return dataclasses.replace(LoadedModel(module, (1, 2, 2), 2, "", manifest, BUILD), **changes)


def test_a_fresh_run_is_rewound_to_the_weights_of_its_seed():
    model = loaded()
    start = begin(model, Plan(), "off")
    assert digest(saved(start.model)) == digest(saved(build(**BUILD))) and start.known and start.notes == ()
    assert digest(start.dense) == digest(saved(model.module))
    assert begin(model, Plan(rewind="epoch:2"), "off").dense is None, "that training has to be seen"
    tuned = begin(model, Plan(rewind="none"), "off")
    assert digest(saved(tuned.model)) == digest(tuned.dense) == digest(saved(model.module)) and not tuned.known


@pytest.mark.parametrize("changes", [{"build": None}, {"manifest": None}, {"manifest": {"from": "other"}}])
def test_unknown_initial_weights_cannot_be_rewound_to(changes):
    model = loaded(**changes)
    assert not has_initial(model)
    for plan in (Plan(), Plan(rewind="epoch:1"), Plan(when="init")):
        with pytest.raises(InvalidInput, match="--rewind none"):
            begin(model, plan, "off")
    assert begin(model, Plan(rewind="none"), "off").dense


def dead() -> nn.Module:
    """Its first neuron is inactive on all images."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)).eval()
    model[1].bias.data[0] = -10
    return model


def test_the_lossless_pass_comes_first():
    model = LoadedModel(dead(), (1, 2, 2), 2)
    start = begin(model, Plan(rewind="none"), "ibp")
    assert "pruning started from the smaller network" in start.notes[0]
    assert sum(v.numel() for v in start.model.parameters()) < sum(v.numel() for v in model.module.parameters())
    x = torch.rand(10, 1, 2, 2)
    torch.testing.assert_close(start.model(x), model.module(x))
    assert "not used" in begin(loaded(module=dead()), Plan(), "ibp").notes[0], "weights before training may differ"


def test_folded_normalisations_are_no_discovery():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 2)).eval()
    model[2].weight.data.fill_(1)
    model[1].weight.data -= model[1].weight.data.mean(1, keepdim=True)  # unstable on [0, 1]
    model[1].bias.data.zero_()
    assert not removed(lossless(model, (1, 2, 2), (torch.zeros(()), torch.ones(())), "ibp")[1])
    start = begin(LoadedModel(model, (1, 2, 2), 2), Plan(rewind="none"), "ibp")
    assert "nothing could be removed" in start.notes[0] and isinstance(start.model[2], nn.BatchNorm1d)


def test_rounds_are_trained_as_the_network_was():
    assert settings_of(loaded(), None, {}) == dataclasses.replace(SETTINGS, device="auto")
    assert settings_of(loaded(), "fgsm", {"epochs": 2}) == dataclasses.replace(SETTINGS, device="auto", epochs=2)
    other = settings_of(loaded(), "ibp", {"nrs": 0.2})
    assert (other.recipe, other.eps, other.epochs, other.seed, other.nrs) == ("ibp", 0.1, 7, 3, 0.2)


@pytest.mark.parametrize(("manifest", "recipe", "message"), [
    (None, None, "--recipe is needed"), (None, "fgsm", "--eps is needed"),
    ({"settings": {"recipe": "fgsm", "colour": 1}}, None, "another version"),
])
def test_an_unknown_training_has_to_be_named(manifest, recipe, message):
    model = loaded(manifest=manifest)
    with pytest.raises(InvalidInput, match=message):
        settings_of(model, recipe, {})
    assert settings_of(model, "fgsm", {"eps": 0.2}).eps == 0.2


def test_test_images_are_chosen_in_proportion():
    y = np.repeat([0, 1], [60, 40])
    data = from_arrays(np.zeros((100, 2, 2), np.uint8), y, np.zeros((100, 2, 2), np.uint8), y)
    few = chosen_test(data, 10, 0)
    assert few.y_test.bincount().tolist() == [6, 4] and few.digest == data.digest
    assert [int(y[k]) for k in few.test_index] == few.y_test.tolist()
    assert len(chosen_test(data, 1000, 0).x_test) == 100
    with pytest.raises(InvalidInput, match="no test images"):
        chosen_test(dataclasses.replace(data, x_test=data.x_test[:0], y_test=data.y_test[:0]), 10, 0)


def test_another_split_is_pointed_out():
    data = from_arrays(np.zeros((10, 2, 2), np.uint8), np.arange(10) % 2)
    assert "split otherwise" in split_note(loaded(), data)
    assert "does not say" in split_note(loaded(manifest=None), data)
    assert split_note(loaded(manifest={"data": {"digest": data.digest}}), data) is None
