"""The command as a user gives it: output, files, resumption, one-line errors."""

import subprocess
import sys

import numpy as np
import pytest
import typer

from tests.training.small_networks import images, network
from training.compare_cli import compare, parse_images
from training.subject import Subject
from verify.errors import InvalidInput


@pytest.fixture
def command():
    """Runs `compare` with arguments."""
    app = typer.Typer()
    app.command()(compare)
    return lambda *arguments: app([str(argument) for argument in arguments], standalone_mode=False)


@pytest.fixture
def files(tmp_path):
    """Two networks and data with the answers of the first."""
    for name, model in (("dense", network(0)), ("pruned", network(1))):
        (tmp_path / f"{name}.onnx").write_bytes(model)
    x = images(40)
    y = Subject.load(network(0)).scores(x).argmax(1).numpy()
    y[:4] = range(4)
    np.savez(tmp_path / "data.npz", x_train=x.numpy(), y_train=y, x_test=x.numpy(), y_test=y)
    return tmp_path


def test_table_report_and_resumption(command, files, capfd):
    arguments = (files / "dense.onnx", files / "pruned.onnx", "--data", files / "data.npz", "--eps", 0.03, "--images",
                 8, "--timeout", 5, "--steps", 5, "--restarts", 1, "--out", files / "out", "--control",
                 f"rs={files / 'pruned.onnx'}")
    assert not command(*arguments)
    first = capfd.readouterr()
    for text in ("dense", "pruned", "not measured", "more-epochs", "verified of PGD-robust"):
        assert text in first.out
    assert "report.md" in first.err
    journal = (files / "out" / "journal.jsonl").read_text()
    report = (files / "out" / "report.csv").read_text()
    assert not command(*arguments)
    assert (files / "out" / "journal.jsonl").read_text() == journal, "nothing is computed twice"
    assert (files / "out" / "report.csv").read_text() == report


def test_a_radius_in_other_units_is_noticed(command, files, capfd):
    command(files / "dense.onnx", "--data", files / "data.npz", "--eps", 8, "--images", "0:3", "--timeout", 0,
            "--steps", 1)
    found = capfd.readouterr()
    assert "warning: eps 8 is larger than the whole range of values" in found.err
    assert "positions 0-2" in found.out and "no complete verification" in found.out


@pytest.mark.parametrize(("change", "text"), [
    (("--control", "rs"), "takes NAME=FILE"), (("--images", "many"), "--images takes a number"),
    (("--images", "99"), "99 images were asked for, there are 40"), (("--data", "nowhere"), "no such data: nowhere"),
    (("--timeout", "-1"), "timeout must be a positive number"), (("--method", "magic"), "unknown method 'magic'"),
    (("--control", "ibp=missing.onnx"), r"network file not found: missing\.onnx"),
    (("--steps", "0"), "positive steps"), (("--eps", "-1"), "eps must be"),
])
def test_errors_are_one_line(command, files, change, text):
    with pytest.raises(InvalidInput, match=text) as caught:
        command(files / "dense.onnx", "--data", files / "data.npz", "--eps", 0.03, "--images", 5, *change)
    assert "\n" not in str(caught.value)


def test_out_must_be_a_folder(command, files):
    with pytest.raises(InvalidInput, match="--out takes a folder"):
        command(files / "dense.onnx", "--data", files / "data.npz", "--eps", 0.03, "--out", files / "dense.onnx")


def test_images_by_number_or_position():
    assert parse_images("200") == 200 and parse_images("5:9") == range(5, 9)
    for wrong in ("", "5:", "9:5", "-3", "1,2"):
        with pytest.raises(InvalidInput):
            parse_images(wrong)


def test_importing_the_command_loads_nothing_heavy():
    script = "import sys, training.compare_cli; print(sorted({'torch', 'numpy', 'onnx', 'rich'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "torch" not in done.stdout and "numpy" not in done.stdout and "onnx" not in done.stdout
