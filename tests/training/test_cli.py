"""The command, through typer, on the toy data as an .npz."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from tests.training.toy import patterns
from training import cli
from training.export import read_manifest
from training.settings import Settings
from verify.errors import InvalidInput


def app() -> typer.Typer:
    made = typer.Typer()
    made.callback()(lambda: None)
    cli.register(made)
    return made


def invoke(*arguments: str):
    return CliRunner().invoke(app(), ["train", *arguments])


@pytest.fixture
def pack(tmp_path):
    data = patterns()
    path = tmp_path / "patterns.npz"
    np.savez(path, x_train=data.x_train.numpy(), y_train=data.y_train.numpy(), x_test=data.x_test.numpy(),
             y_test=data.y_test.numpy())
    return str(path)


def test_a_run_from_the_command_line(tmp_path, pack):
    out = tmp_path / "run"
    arguments = ["ibp", "--data", pack, "--arch", "mlp-1x12", "--out", str(out), "--eps", "0.05", "--epochs", "2",
                 "--ramp", "0,0.5", "--lr-drops", "none", "--no-flip", "--device", "cpu", "--test", "6", "--complete",
                 "2", "--attack-steps", "3", "--threads", "1"]
    done = invoke(*arguments)
    assert done.exit_code == 0, done.output
    assert "epoch 2/2  loss" in done.stderr and "warning" not in done.stderr
    for line in ("clean accuracy", "after PGD", "CROWN-verified", "verified", "undecided", "sha256"):
        assert line in done.stdout
    settings = read_manifest(out)["settings"]
    assert settings["ramp"] == [0.0, 0.5] and settings["lr_drops"] == [] and settings["lr"] == 5e-4
    again = invoke(*arguments)
    assert isinstance(again.exception, InvalidInput) and "finished run" in str(again.exception)
    assert invoke(*arguments, "--overwrite").exit_code == 0


def test_wrong_scales_are_warned_about(tmp_path, pack):
    done = invoke("standard", "--data", pack, "--arch", "mlp-1x4", "--out", str(tmp_path / "run"), "--eps", "8",
                  "--epochs", "1", "--test", "0", "--device", "cpu")
    assert done.exit_code == 0 and "warning: eps 8 is larger than the whole range" in done.stderr


@pytest.mark.parametrize(("arguments", "message"), [
    (["magic"], "there is no recipe 'magic'"), (["ibp", "--ramp", "a,b"], "--ramp takes numbers such as 0.7,0.9"),
    (["ibp", "--eps", "-1"], "--eps takes >= 0, got -1"), (["ibp", "--test", "-1"], "--test takes a number of images"),
])
def test_errors_name_the_option(tmp_path, pack, arguments, message):
    out = tmp_path / "run"
    done = invoke(*arguments, "--data", pack, "--arch", "mlp-1x4", "--out", str(out), "--device", "cpu")
    assert isinstance(done.exception, InvalidInput) and message in str(done.exception) and not out.exists()


def test_an_interrupt_says_how_to_go_on(tmp_path, pack, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("training.run.execute", interrupted)
    done = invoke("ibp", "--data", pack, "--arch", "mlp-1x4", "--out", str(tmp_path / "run"), "--device", "cpu")
    assert done.exit_code != 0 and "interrupted; the same command goes on from here" in done.stderr


def test_every_setting_is_an_option():
    text = CliRunner().invoke(app(), ["train", "--help"], env={"COLUMNS": "400", "TERM": "dumb"}).output
    for entry in fields(Settings):
        assert entry.name == "recipe" or f"--{entry.name.replace('_', '-')}" in text, entry.name


def test_recipes_are_modules_that_run(monkeypatch):
    called = []
    monkeypatch.setattr("verify.cli.main", lambda: called.append(list(sys.argv)))
    monkeypatch.setattr(sys, "argv", ["training/recipes/ibp.py", "--eps", "0.1"])
    cli.main("ibp")
    assert called == [["training/recipes/ibp.py", "train", "ibp", "--eps", "0.1"]]


def test_the_command_line_loads_nothing_heavy():
    script = "import sys, training.cli; print(sorted({'torch', 'numpy', 'onnx', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
