"""Options are checked when built, with messages that say what is accepted."""

from dataclasses import fields
from pathlib import Path

import pytest

from verify.errors import InvalidInput
from verify.options import RunOptions, help_text, parse_size


@pytest.fixture
def files(tmp_path):
    paths = tmp_path / "net.onnx", tmp_path / "spec.vnnlib"
    for path in paths:
        path.write_text("")
    return paths


@pytest.mark.parametrize(("text", "size"), [
    ("1000000", 1_000_000), ("512M", 512 << 20), ("8G", 8 << 30), ("1.5 GiB", 3 << 29), ("2kb", 2048), ("1T", 1 << 40),
])
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1G", "8X", "G", "1e9", "nan"])
def test_bad_sizes(text):
    with pytest.raises(InvalidInput, match="such as 512M or 8G"):
        parse_size(text)


@pytest.mark.parametrize(("name", "value"), [
    ("timeout", 0.0), ("timeout", -1.0), ("timeout", float("nan")), ("timeout", float("inf")), ("device", "tpu"),
    ("device", "cuda:"), ("dtype", "float16"), ("seed", -1), ("threads", 0), ("threads", 10**6),
    ("semantics", "float16"), ("semantics", ""),
])
def test_bad_values_name_the_option(files, name, value):
    with pytest.raises(InvalidInput, match=f"--{name} takes"):
        RunOptions(*files, **{name: value})


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:1"])
def test_good_devices(files, device):
    assert RunOptions(*files, device=device).device == device


def test_missing_files_and_folders(files, tmp_path):
    with pytest.raises(InvalidInput, match="network file not found"):
        RunOptions(Path("missing.onnx"), files[1])
    with pytest.raises(InvalidInput, match="network file not found"):
        RunOptions(Path("x" * 5000), files[1])
    with pytest.raises(InvalidInput, match="property must be a file"):
        RunOptions(files[0], tmp_path)


def test_outputs_need_a_folder_and_spare_the_inputs(files, tmp_path):
    with pytest.raises(InvalidInput, match="existing folder"):
        RunOptions(*files, json=tmp_path / "missing" / "out.json")
    with pytest.raises(InvalidInput, match="existing folder"):
        RunOptions(*files, witness=tmp_path)
    with pytest.raises(InvalidInput, match="overwrite the input"):
        RunOptions(*files, witness=files[0])


def test_every_option_explains_itself():
    for field in fields(RunOptions):
        if field.name not in ("network", "spec"):
            assert set(field.metadata) == {"range", "unit", "reason"}
            assert field.metadata["reason"] in help_text(field.name)
    assert help_text("timeout").endswith("(> 0 s)")
