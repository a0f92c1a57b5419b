"""`verify graft`: output, one line per error, and that importing the command is light."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from grafting.cli import register
from tests.grafting.runs import data, plan
from verify.errors import VerifyError

APP = typer.Typer()
register(APP)


def run(*arguments: object):
    """The command with its error as `verify` would print it."""
    done = CliRunner().invoke(APP, [*map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, (VerifyError, SystemExit)), done.exception
    return done, f"error: {done.exception}" if isinstance(done.exception, VerifyError) else done.stderr


@pytest.fixture
def pack(tmp_path):
    """The data of the toy run as a file."""
    d = data()
    arrays = {"x_train": d.x_train, "y_train": d.y_train, "x_test": d.x_test, "y_test": d.y_test}
    np.savez(tmp_path / "toy.npz", **{name: value.numpy() for name, value in arrays.items()})
    return tmp_path / "toy.npz"


def test_grafts_and_reports(pack, tmp_path):
    source = plan(tmp_path).source
    done, said = run(source, "--data", pack, "--eps", 0.05, "--ratio", 0.5, "--test", 6, "--timeout", 1, "--out",
                     tmp_path / "out", "--device", "cpu", "--transfer")
    assert done.exit_code == 0 and "round 1/1: " in said
    assert "lines    36 of 72 ReLU neurons" in done.stdout and "not about the original" in done.stdout
    assert "the original is certified, too, for" in done.stdout and "before" in done.stdout
    assert (tmp_path / "out" / "manifest.json").exists()


@pytest.mark.parametrize(("arguments", "message"), [
    (("--ratio", 1.0), "error: the ratio of grafted neurons must be at least 0 and below 1, got 1.0"),
    (("--score", "best"), "error: --score takes paper, "),
    (("--eps", "8"), "warning: eps 8 is larger than the whole range of values"),
])
def test_errors_and_warnings_in_one_line(arguments, message, pack, tmp_path):
    source = plan(tmp_path).source
    options = {"--data": pack, "--eps": 0.05, "--out": tmp_path / "out", "--test": 2, "--timeout": 0.1,
               "--device": "cpu", "--calibration": 20} | dict([arguments])
    done, said = run(source, *(part for pair in options.items() for part in pair))
    assert any(line.startswith(message) for line in said.splitlines()), said
    assert (done.exit_code != 0) == message.startswith("error")
    assert message.startswith("warning") or not (tmp_path / "out").exists()


def test_images_without_labels(tmp_path):
    np.savez(tmp_path / "bare.npz", x_train=np.zeros((5, 4, 4), dtype=np.uint8))
    done, said = run(plan(tmp_path).source, "--data", tmp_path / "bare.npz", "--eps", 0.1, "--out", tmp_path / "out")
    assert done.exit_code != 0 and "y_train" in said and len(said.splitlines()) == 1


def test_the_command_is_light():
    script = "import sys, grafting.cli; print(sorted({'torch', 'numpy', 'onnx'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
