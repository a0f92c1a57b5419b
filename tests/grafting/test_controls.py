"""The controls: each is what its name says, is made once, and differs from the network before."""

from __future__ import annotations

import pytest
import torch

import grafting.controls as module
from grafting.controls import fresh, ibp_settings
from grafting.run import _controls
from tests.grafting.runs import plan
from tests.grafting.toys import conv
from training.export import load_model
from training.settings import settings_for
from verify.onnx_import import load_network


def test_made_once(tmp_path, monkeypatch):
    p = plan(tmp_path, control_epochs=1, finetune_epochs=1)
    loaded = load_model(p.source)
    monkeypatch.setattr(module, "ibp_settings", lambda like, epochs: settings_for("ibp", eps=0.05, epochs=1))
    controls = _controls(p, loaded, loaded.module)
    said, epochs = [], []
    found = controls.make(said.append, epochs.append)
    assert list(found) == ["more-epochs", "random-mask", "rs", "ibp"] and len(said) == 4
    content = {name: path.read_bytes() for name, path in found.items()}
    assert len({*content.values(), p.source.read_bytes()}) == 5
    graph = load_network(found["random-mask"]).graph
    neurons = [sum(map(g.neurons, g.nonlinear)) for g in (graph, load_network(found["rs"]).graph)]
    assert neurons == [36, 72]
    assert controls.make(said.append, epochs.append) == found and len(said) == 4
    assert controls.settings.rs == 0 and controls.ibp.recipe == "ibp"


def test_fresh_weights_come_from_the_seed():
    model = conv()
    first, same, other = (fresh(model, seed) for seed in (1, 1, 2))
    assert torch.equal(first[0].weight, same[0].weight) and not torch.equal(first[0].weight, other[0].weight)
    assert not torch.equal(first[0].weight, model[0].weight) and torch.equal(first[1].running_mean, torch.zeros(3))


@pytest.mark.parametrize("epochs", [3, 30])
def test_ibp_settings(epochs):
    found = ibp_settings(settings_for("fgsm", eps=0.2, seed=4, batch=16, shift=1), epochs)
    assert (found.recipe, found.eps, found.epochs, found.seed, found.shift) == ("ibp", 0.2, epochs, 4, 1)
    assert found.ramp[1] > 0
