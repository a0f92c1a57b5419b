"""`verify prune` as users meet it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from pruning import cli
from training.data import load
from training.run import Final, Plan, execute
from training.settings import settings_for
from verify.errors import InvalidInput

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with data.npz and a trained run."""
    folder = tmp_path_factory.mktemp("prune")
    generator = np.random.default_rng(0)
    y = generator.integers(2, size=160)
    x = generator.integers(128, size=(160, 6, 6))
    x[y == 1, :3] += 100
    np.savez(folder / "data.npz", x_train=x.astype(np.uint8), y_train=y)
    settings = settings_for("standard", epochs=2, eps=0.02, lr=0.01, batch=16, device="cpu")
    execute(Plan(folder / "run", load(folder / "data.npz"), settings, arch="mlp-2x8", final=Final(images=0)))
    return folder


@pytest.fixture(autouse=True)
def no_figures(monkeypatch):
    """They take longer than everything else here."""
    for module in ("training.figures", "pruning.report"):
        monkeypatch.setattr(f"{module}.missing", lambda: "no figures")


def run(place: Path, *arguments: str):
    app = typer.Typer()
    cli.register(app)
    fixed = ("--data", str(place / "data.npz"), "--timeout", "0", "--test", "20", "--check-images", "10")
    return CliRunner().invoke(app, [*arguments, *fixed])


def test_a_trained_run_is_pruned_and_reported(place, tmp_path):
    done = run(place, str(place / "run"), "--out", str(tmp_path / "out"), "--remaining", "0.5,0.25", "--max-drop-clean",
               "1", "--max-drop-pgd", "1")
    assert done.exit_code == 0, done.output
    assert "was selected on validation images" in done.stdout and "SHA-256" in done.stdout
    assert "round 2  0.25" in done.stderr and "warning" not in done.stderr
    assert (tmp_path / "out" / "manifest.json").is_file()
    again = run(place, str(place / "run"), "--out", str(tmp_path / "out"), "--remaining", "0.5")
    assert isinstance(again.exception, InvalidInput) and "finished run" in str(again.exception)


@pytest.mark.parametrize(("arguments", "message"), [
    (("--criterion", "best"), "unknown criterion 'best'"), (("--remaining", "1.5"), "outside"),
    (("--remaining", "0.5,0.7"), "must fall"), (("--rewind", "sometimes"), "init, none, or epoch:K"),
    (("--criterion", "nrs"), "scores channels, not weights"), (("--structured", "--criterion", "slimming"), "has none"),
    (("--scope", "every"), "unknown scope"), (("--when", "never"), "'never'"),
    (("--remaining", "0.0001"), "fewer than one"), (("--max-drop-pgd", "3"), "max_drop_pgd"),
    (("--recipe", "magic"), "no recipe"),
])
def test_bad_input_gets_one_clear_message_and_no_folder(place, tmp_path, arguments, message):
    done = run(place, str(place / "run"), "--out", str(tmp_path / "out"), *arguments)
    assert isinstance(done.exception, InvalidInput) and message in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_an_onnx_file_needs_to_be_told_how_to_train(place, tmp_path):
    path = str(place / "run" / "model.onnx")
    done = run(place, path, "--out", str(tmp_path / "out"))
    assert "--recipe is needed" in str(done.exception)
    done = run(place, path, "--out", str(tmp_path / "out"), "--recipe", "standard", "--eps", "0.02", "--epochs", "1",
               "--remaining", "0.5", "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert "may be among its training images" in done.stderr


def test_help_loads_nothing_heavy():
    script = ("import sys, pruning.cli; print(sorted({'torch', 'numpy', 'onnx', 'scipy'} & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"
