"""A whole run: its files, what its manifest says, resuming, refusals."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import torch
from torch import nn

import grafting.controls as controls
import grafting.run as module
from grafting.run import Watch, execute
from tests.grafting.runs import plan
from tests.grafting.toys import SHAPE
from training.export import export_onnx, load_model, read_manifest
from training.settings import settings_for
from verify.errors import InvalidInput


def test_files_and_manifest(tmp_path):
    p, said = plan(tmp_path, finetune_epochs=1, rounds=2, transfer=True), []
    done = execute(p, watch=Watch(say=said.append))
    names = {path.name for path in p.folder.iterdir()}
    assert {"model.onnx", "selection.npz", "manifest.json", "report.md", "report.csv", "run.json"} <= names
    manifest, sha256 = read_manifest(p.folder), hashlib.sha256((p.folder / "model.onnx").read_bytes()).hexdigest()
    original = hashlib.sha256(p.source.read_bytes()).hexdigest()
    assert manifest["sha256"] == sha256 and manifest["original"]["sha256"] == original
    assert sha256 in manifest["certificate"] and "say nothing about the original" in manifest["certificate"]
    assert manifest["certificate"] in (p.folder / "report.md").read_text()
    assert manifest["export"]["lines"] == 36 and max(manifest["export"]["outputs"].values()) < 1e-4
    assert manifest["graft"]["score"] == "low-magnitude" and manifest["settings"]["recipe"] == "standard"
    assert [entry.role for entry in done.comparison.entries[:2]] == ["before", "after"]
    assert 0 <= done.transferred[0] <= done.transferred[1] == done.comparison.entries[1].evaluation.count("verified")
    masks = [value for name, value in np.load(p.folder / "selection.npz").items() if name.startswith("mask/")]
    assert sum(mask.sum() for mask in masks) == 36 and len(said) == 2 and said[1].startswith("round 2/2: ")
    assert load_model(p.folder).sha256 == sha256  # a network like any other: it may be grafted further
    with pytest.raises(InvalidInput, match="finished run"):
        execute(p)
    execute(p, overwrite=True)
    assert read_manifest(p.folder)["sha256"] == sha256


def test_an_interrupted_run_goes_on_and_gives_the_same(tmp_path, monkeypatch):
    whole = plan(tmp_path, finetune_epochs=2, folder=tmp_path / "whole")
    execute(whole)
    parts = plan(tmp_path, finetune_epochs=2, folder=tmp_path / "parts")

    def interrupt(epoch):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(parts, watch=Watch(epoch=interrupt))
    assert not (parts.folder / "manifest.json").exists() and not (parts.folder / "model.onnx").exists()
    with pytest.raises(InvalidInput, match="unfinished run with other settings"):
        execute(plan(tmp_path, finetune_epochs=2, ratio=0.3, folder=tmp_path / "parts"))
    monkeypatch.setattr(module, "graft_in_rounds", None)  # the selection is not made again
    execute(parts)
    assert (parts.folder / "model.onnx").read_bytes() == (whole.folder / "model.onnx").read_bytes()


def test_a_ratio_of_zero_is_the_network_before(tmp_path):
    done = execute(plan(tmp_path, ratio=0.0, finetune_epochs=1))
    before, after = (entry.evaluation for entry in done.comparison.entries[:2])
    assert done.exported.lines == 0 and before.flags("clean") == after.flags("clean")
    assert before.unstable == pytest.approx(after.unstable)


def test_controls_are_in_the_report(tmp_path, monkeypatch):
    monkeypatch.setattr(controls, "IBP_STEPS", 1)
    monkeypatch.setattr(module, "own_settings", lambda *_, **__: settings_for("standard", eps=0.05, epochs=1))
    p = plan(tmp_path, controls=True, control_epochs=1)
    done = execute(p)
    assert [e.name for e in done.comparison.entries if e.evaluation] == [
        *(e.name for e in done.comparison.entries[:2]), "more-epochs", "random-mask", "rs", "ibp"]
    assert set(json.loads((p.folder / "manifest.json").read_text())["metrics"]) >= {"random-mask", "ibp"}


def test_refused(tmp_path):
    p = plan(tmp_path)
    with pytest.raises(InvalidInput, match="holds the network that is to be grafted"):
        execute(plan(tmp_path, folder=p.source.parent))
    other = tmp_path / "other.onnx"
    export_onnx(nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), (1, 2, 2), other)
    with pytest.raises(InvalidInput, match=r"takes images \[1, 2, 2\]|takes images \[4\]"):
        execute(plan(tmp_path, source=other))
    torch.manual_seed(0)
    export_onnx(nn.Sequential(nn.Flatten(), nn.Linear(16, 3)), SHAPE, other)
    with pytest.raises(InvalidInput, match="no ReLU"):
        execute(plan(tmp_path, source=other))
    assert not (tmp_path / "out" / "model.onnx").exists()
