from __future__ import annotations

import csv
import json

import pytest
import torch

from tests.training.toy import mlp, patterns
from training import run as module
from training.export import export_onnx, load_model, read_manifest
from training.loop import Epoch
from training.run import FILES, Final, Plan, execute, table
from training.settings import settings_for
from verify.errors import InvalidInput

SMALL = Final(images=8, complete=2, timeout=5.0, steps=5, restarts=1)


def plan(folder, recipe: str = "standard", final: Final = SMALL, **changes) -> Plan:
    options = {"epochs": 3, "eps": 0.05, "device": "cpu", "batch": 32, "lr": 0.01, **changes}
    return Plan(folder, patterns(), settings_for(recipe, **options), "mlp-1x12", final=final)


class Stop(Exception):
    pass


def test_a_run_leaves_a_network_and_where_it_comes_from(tmp_path):
    folder = tmp_path / "run"
    seen, phases = [], set()
    done = execute(plan(folder, "ibp"), on_epoch=seen.append, watch=lambda phase, *_: phases.add(phase))
    manifest = read_manifest(folder)
    assert manifest["sha256"] == done.exported.sha256 and manifest["data"]["digest"] == patterns().digest
    assert manifest["settings"]["recipe"] == "ibp" and manifest["seed"] == 0 and manifest["metrics"] == done.metrics
    assert done.metrics["sample"]["images"] == 8 and done.metrics["complete"]["images"] == 2
    assert set(done.metrics["complete"]) > {"verified", "falsified", "undecided", "crown", "robust", "clean"}
    low, high = done.metrics["sample"]["crown"]["interval"]
    assert low <= done.metrics["sample"]["crown"]["share"] <= high and phases
    rows = list(csv.DictReader((folder / "log.csv").open()))
    assert [int(row["number"]) for row in rows] == [epoch.number for epoch in seen] == [1, 2, 3]
    assert {path.name for path in folder.iterdir()} <= {*FILES, "properties"}
    assert (folder / "training.png").exists() == (not done.notes)
    loaded = load_model(folder)
    assert loaded.sha256 == manifest["sha256"] and loaded.build["arch"] == "mlp-1x12"


def test_an_interrupted_run_goes_on_to_the_same_network(tmp_path, monkeypatch):
    whole = execute(plan(tmp_path / "whole"))

    def stop(epoch: Epoch) -> None:
        if epoch.number == 2:
            raise Stop

    folder = tmp_path / "stopped"
    with pytest.raises(Stop):
        execute(plan(folder), on_epoch=stop)
    assert not (folder / "manifest.json").exists() and not (folder / "model.onnx").exists()
    with monkeypatch.context() as patch:
        patch.setattr(module, "evaluate", lambda *_, **__: (_ for _ in ()).throw(Stop()))
        with pytest.raises(Stop):  # and again, before the end of the evaluation
            execute(plan(folder))
    assert not (folder / "manifest.json").exists()
    done = execute(plan(folder))
    assert done.exported.sha256 == whole.exported.sha256 and len(done.epochs) == 3
    assert len(list(csv.DictReader((folder / "log.csv").open()))) == 3


def test_folders_of_other_runs_are_left_alone(tmp_path):
    none = Final(images=0)
    with pytest.raises(Stop):
        execute(plan(tmp_path, final=none), on_epoch=lambda _: (_ for _ in ()).throw(Stop()))
    with pytest.raises(InvalidInput, match=r"unfinished run with other settings \(lr was 0.01, now 0.02\)"):
        execute(plan(tmp_path, final=none, lr=0.02))
    execute(plan(tmp_path, final=none))
    before = (tmp_path / "model.onnx").read_bytes()
    with pytest.raises(InvalidInput, match="holds a finished run"):
        execute(plan(tmp_path, final=none))
    assert (tmp_path / "model.onnx").read_bytes() == before
    (tmp_path / "mine.txt").write_text("keep")
    done = execute(plan(tmp_path, final=none, lr=0.02), overwrite=True)
    assert (tmp_path / "model.onnx").read_bytes() != before and (tmp_path / "mine.txt").exists()
    assert set(done.metrics) == {"epoch", "clean_all"}


def test_what_stands_in_the_way(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="--out takes a folder"):
        execute(plan(tmp_path / "file"))
    other = tmp_path / "other"
    export_onnx(mlp(), (1, 4, 4), other / "model.onnx")
    with pytest.raises(InvalidInput, match=r"holds model.onnx of something else"):
        execute(plan(other))
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "run.json").write_text("{")
    with pytest.raises(InvalidInput, match="cannot read"):
        execute(plan(broken))


def test_a_network_can_be_trained_further(tmp_path):
    execute(plan(tmp_path / "first", final=Final(images=0)))
    settings = settings_for("ibp", epochs=1, eps=0.05, device="cpu")
    for k, source in enumerate((tmp_path / "first", tmp_path / "first" / "model.onnx")):
        folder = tmp_path / str(k)
        execute(Plan(folder, patterns(), settings, source=str(source), final=Final(images=0)))
        assert json.loads((folder / "run.json").read_text())["from"] == read_manifest(tmp_path / "first")["sha256"]
        assert (folder / "weights.pt").exists() == (k == 0)
        with torch.no_grad():
            shapes = load_model(folder).module(patterns().x_test[:2]).shape
        assert tuple(shapes) == (2, 4)


def test_wrong_plans_are_refused(tmp_path):
    with pytest.raises(InvalidInput, match="needs either --arch"):
        Plan(tmp_path, patterns(), settings_for("standard"))
    export_onnx(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(9, 4)), (1, 3, 3), tmp_path / "m.onnx")
    with pytest.raises(InvalidInput, match=r"takes images \[1, 3, 3\] of 4 classes; patterns has \[1, 4, 4\] of 4"):
        execute(Plan(tmp_path / "run", patterns(), settings_for("standard"), source=str(tmp_path / "m.onnx")))
    for options in ({"images": -1}, {"complete": -1}, {"timeout": 0}, {"steps": 0}):
        with pytest.raises(InvalidInput, match="--"):
            Final(**options)


def test_tables_have_one_line_per_epoch():
    epochs = [Epoch(k, 1 / 3, 0.5, None, None, 0.1, 0.0, 1e-3, 2.0) for k in (1, 2)]
    lines = table(epochs).splitlines()
    assert lines[0].startswith("number,loss,accuracy") and lines[1] == "1,0.333333,0.5,,,0.1,0,0.001,2"
