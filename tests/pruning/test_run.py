"""One `verify prune`, library side: files, notes, resumption, what is refused."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from pruning.plan import Plan
from pruning.run import Watch, Work, execute, selection
from training.data import Data, from_arrays
from training.export import load_model, read_manifest
from training.run import Final
from training.run import Plan as TrainingPlan
from training.run import execute as train
from training.settings import settings_for
from verify.errors import InvalidInput

SETTINGS = settings_for("standard", epochs=2, eps=0.02, batch=16, lr=0.01, device="cpu")
PLAN = Plan("nrs", (0.6,), structured=True, scope="all", check_images=16, score_images=32, max_drop_clean=1,
            max_drop_pgd=1)


@pytest.fixture(scope="module")
def data() -> Data:
    generator = np.random.default_rng(0)
    y = generator.integers(2, size=120)
    x = generator.random((120, 4, 4)) * 0.5
    x[y == 1, :2] += 0.4
    return from_arrays(x.astype(np.float32), y, validation=0.2, name="halves")


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("train") / "run"
    train(TrainingPlan(folder, data, SETTINGS, arch="mlp-2x8", final=Final(images=0)))
    return folder


@pytest.fixture(autouse=True)
def no_figures(monkeypatch):
    """They take longer than everything else here."""
    for module in ("training.figures", "training.curves", "pruning.report"):
        monkeypatch.setattr(f"{module}.missing", lambda: "no figures")


def work(trained, data, folder, **changes) -> Work:
    return Work(**({"source": trained, "loaded": load_model(trained), "folder": folder, "data": data,
                    "settings": SETTINGS, "plan": PLAN, "timeout": None} | changes))


def test_a_run_leaves_network_report_and_manifest(trained, data, tmp_path):
    rounds = []
    done = execute(work(trained, data, tmp_path / "out"), watch=Watch(round=rounds.append))
    out, pruned = tmp_path / "out", done.pruned
    for name in ("model.onnx", "dense/model.onnx", "report.md", "report.csv", "rounds.md", "manifest.json"):
        assert (out / name).is_file(), name
    manifest = read_manifest(out)
    assert manifest["sha256"] == pruned.best.files["model.onnx"] and manifest["selected"] == pruned.selected
    assert manifest["plan"] == json.loads(json.dumps(PLAN.as_dict())) and manifest["max_difference"] < 1e-4
    assert [made.index for made in rounds] == [0, 1]
    assert [entry.role for entry in done.comparison.measured][:2] == ["before", "after"]
    assert "selected on validation images" in (out / "report.md").read_text()
    loaded = load_model(out)
    assert loaded.input_shape == (1, 4, 4) and loaded.classes == 2, "the next stage can take the folder"
    with pytest.raises(InvalidInput, match="finished run"):
        execute(work(trained, data, out))


def test_an_interrupted_run_goes_on(trained, data, tmp_path):
    class Stop(Exception):
        pass

    def report(network, phase, done, total):
        raise Stop

    out = tmp_path / "out"
    with pytest.raises(Stop):
        execute(work(trained, data, out), watch=Watch(report=report))
    assert not (out / "manifest.json").exists() and not (out / "report.md").exists()
    epochs = []
    execute(work(trained, data, out), watch=Watch(epoch=epochs.append))
    assert epochs == [] and (out / "manifest.json").exists()


def test_overwriting_removes_what_a_run_wrote_and_nothing_else(trained, data, tmp_path):
    out = tmp_path / "out"
    execute(work(trained, data, out, lossless="off"))
    (out / "notes.txt").write_text("mine")
    other = dataclasses.replace(PLAN, criterion="random")
    with pytest.raises(InvalidInput, match="unknown criterion"):
        execute(work(trained, data, out, plan=dataclasses.replace(PLAN, criterion="best")), overwrite=True)
    assert (out / "manifest.json").exists(), "a refusal costs nothing"
    with pytest.raises(InvalidInput, match="not empty"):
        execute(work(trained, data, out, plan=other), overwrite=True)
    (out / "notes.txt").unlink()
    execute(work(trained, data, out, plan=other), overwrite=True)
    assert read_manifest(out)["plan"]["criterion"] == "random"


def test_controls_are_in_the_report(trained, data, tmp_path):
    settings = dataclasses.replace(SETTINGS, epochs=1)
    done = execute(work(trained, data, tmp_path / "out", controls=True, settings=settings))
    measured = {entry.name for entry in done.comparison.measured if entry.role == "control"}
    assert measured == {"more-epochs", "random-mask", "rs", "ibp"}


def test_a_rewound_network_is_judged_as_a_ticket(trained, data, tmp_path):
    found = execute(work(trained, data, tmp_path / "a", plan=dataclasses.replace(PLAN, remaining=(0.9,))))
    if found.pruned.selected:
        assert found.ticket is not None and found.ticket.images == len(data.x_test)
        assert "Certified lottery ticket" in (tmp_path / "a" / "rounds.md").read_text()
    tuned = execute(work(trained, data, tmp_path / "b", plan=dataclasses.replace(PLAN, rewind="none")))
    assert tuned.ticket is None


def test_an_onnx_file_is_fine_tuned(trained, data, tmp_path):
    path = trained / "model.onnx"
    done = execute(work(path, data, tmp_path / "out", loaded=load_model(path), plan=dataclasses.replace(
        PLAN, rewind="none")))
    assert done.pruned.rounds[1].parameters < done.pruned.rounds[0].parameters
    with pytest.raises(InvalidInput, match="--rewind none"):
        execute(work(path, data, tmp_path / "other", loaded=load_model(path)))
    assert not (tmp_path / "other").exists()


def test_what_does_not_fit_is_refused(trained, data, tmp_path):
    wide = from_arrays(np.zeros((20, 9, 9), np.uint8), np.arange(20) % 2)
    for changes, message in (({"data": wide}, r"takes images \[1, 4, 4\]"), ({"folder": trained}, "to be pruned"),
                             ({"data": dataclasses.replace(data, x_test=data.x_test[:0])}, "no test images"),
                             ({"lossless": "magic"}, "unknown bound method")):
        with pytest.raises(InvalidInput, match=message):
            execute(dataclasses.replace(work(trained, data, tmp_path / "out"), **changes))
        assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="is a file"):
        execute(work(trained, data, tmp_path / "file"))


def test_the_sentence_of_the_selection(trained, data, tmp_path):
    pruned = execute(work(trained, data, tmp_path / "out")).pruned
    assert f"Round {pruned.selected} of 1 was selected" in selection(pruned)
    assert "ended early: because" in selection(dataclasses.replace(pruned, stopped="because"))
