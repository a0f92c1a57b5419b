"""The controls: each is what its name says, is made once, and differs from the network before."""

from __future__ import annotations

from dataclasses import replace

import torch

import grafting.controls as module
import grafting.run as run
from grafting.controls import fresh, ibp_settings, own_settings
from tests.grafting.runs import plan
from tests.grafting.toys import conv
from training.export import load_model
from training.settings import settings_for
from verify.onnx_import import load_network


def test_made_once(tmp_path, monkeypatch):
    p = plan(tmp_path, control_epochs=1, finetune_epochs=1)
    loaded = load_model(p.source)
    monkeypatch.setattr(module, "IBP_STEPS", 1)
    monkeypatch.setattr(run, "own_settings", lambda *_, **__: settings_for("standard", eps=0.05, epochs=1))
    controls = run._controls(p, loaded, loaded.module)
    said, epochs = [], []
    found = controls.make(said.append, epochs.append)
    assert list(found) == ["more-epochs", "random-mask", "rs", "ibp"] and len(said) == 4
    content = {name: path.read_bytes() for name, path in found.items()}
    assert len({*content.values(), p.source.read_bytes()}) == 5
    graph = load_network(found["random-mask"]).graph
    neurons = [sum(map(g.neurons, g.nonlinear)) for g in (graph, load_network(found["rs"]).graph)]
    assert neurons == [36, 72]
    assert controls.make(said.append, epochs.append) == found and len(said) == 4
    assert controls.settings.rs == controls.own.rs == 0


def test_fresh_weights_come_from_the_seed():
    model = conv()
    first, same, other = (fresh(model, seed) for seed in (1, 1, 2))
    assert torch.equal(first[0].weight, same[0].weight) and not torch.equal(first[0].weight, other[0].weight)
    assert not torch.equal(first[0].weight, model[0].weight) and torch.equal(first[1].running_mean, torch.zeros(3))


def test_settings_of_trainings_from_the_start():
    like = settings_for("fgsm", eps=0.2, seed=4, batch=16, shift=1, epochs=7)
    found = ibp_settings(like, 1600)
    assert (found.recipe, found.eps, found.epochs, found.seed, found.shift) == ("ibp", 0.2, 20, 4, 1)
    assert ibp_settings(like, 16000).epochs == 7 and found.ramp[1] > 0
    again = own_settings(like.as_dict(), "fgsm", 0.1, 30, seed=5)
    assert again == replace(like, eps=0.1, seed=5)
    assert own_settings(like.as_dict(), "trades", 0.1, 30, seed=5) == settings_for("trades", eps=0.1, epochs=30, seed=5)
    assert own_settings({}, "fgsm", 0.1, 30) == settings_for("fgsm", eps=0.1, epochs=30)
