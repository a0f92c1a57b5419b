"""Folders of rounds: whole or absent, and claimed by one schedule."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pruning.mask import Mask, tighten
from pruning.measure import Check
from pruning.rounds import Round, Store, digest
from pruning.schedule import saved
from verify.errors import InvalidInput

CHECK = Check(10, 0.9, 5, 0.8, 0.6, 0.25)


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))


def finished(store: Store, model: nn.Module, index: int = 0) -> tuple[Round, Mask]:
    mask = tighten(Mask.ones(model), {"0.weight": torch.arange(6.0).reshape(3, 2)}, 0.5)
    work = store.work(index)
    work.mkdir(parents=True)
    (work / "model.onnx").write_bytes(b"network")
    (work / "checkpoint.pt").write_bytes(b"unfinished")
    return store.finish(Round(index, 0.5, 0.9, 17, CHECK, 1e-6, {"model.onnx": "0"}, work), mask, saved(model)), mask


def test_a_round_comes_back_as_it_was(model, tmp_path):
    store = Store(tmp_path)
    made, mask = finished(store, model)
    assert store.round(0) == made and store.round(1) is None
    assert made.folder == tmp_path / "rounds" / "00" and made.onnx.read_bytes() == b"network"
    assert torch.equal(made.mask().keep["0.weight"], mask.keep["0.weight"])
    assert digest(made.state()) == digest(saved(model))
    assert not (made.folder / "checkpoint.pt").exists() and not store.work(0).exists()
    assert store.select(made).read_bytes() == b"network"


def test_a_broken_record_is_named(model, tmp_path):
    made, _ = finished(Store(tmp_path), model)
    (made.folder / "metrics.json").write_text("{}")
    with pytest.raises(InvalidInput, match="not the record of a round"):
        Store(tmp_path).round(0)


def test_a_folder_belongs_to_one_schedule(model, tmp_path):
    store, identity = Store(tmp_path / "run"), {"plan": {"criterion": "random", "seed": 0}, "data": "d"}
    store.begin(identity, saved(model))
    store.begin(identity, saved(model))
    with pytest.raises(InvalidInput, match=r"another plan.seed: 0 there, 1 now"):
        store.begin(identity | {"plan": {"criterion": "random", "seed": 1}}, saved(model))
    with pytest.raises(InvalidInput, match="another data: 'd' there, 'e' now"):
        store.begin(identity | {"data": "e"}, saved(model))
    later = identity | {"plan": {**identity["plan"], "bounds": "crown"}}
    store.begin(later, saved(model), {"plan": {"bounds": "crown"}})
    with pytest.raises(InvalidInput, match=r"another plan.bounds: 'ibp' there"):
        store.begin(later, saved(model), {"plan": {"bounds": "ibp"}})
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("")
    with pytest.raises(InvalidInput, match="not empty"):
        Store(other).begin(identity, saved(model))
    assert [path.name for path in other.iterdir()] == ["thesis.tex"]


def test_digests_tell_states_apart(model):
    before = saved(model)
    assert digest(before) == digest(saved(model))
    model[0].weight.data[0, 0] += 1e-7
    assert digest(before) != digest(saved(model))
