"""Files are whole or not there."""

from __future__ import annotations

import json

import pytest

from training.files import replacing, write, write_json, write_text
from verify.errors import InvalidInput


def test_writes_and_makes_the_folder(tmp_path):
    write_text(tmp_path / "new" / "a.txt", "one")
    write_json(tmp_path / "b.json", {"x": 1.5})
    write(tmp_path / "c.bin", lambda path: path.write_bytes(b"123"))
    assert (tmp_path / "new" / "a.txt").read_text() == "one"
    assert json.loads((tmp_path / "b.json").read_text()) == {"x": 1.5}
    assert (tmp_path / "c.bin").read_bytes() == b"123"


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    with pytest.raises(ValueError):
        write_json(path, float("nan"))
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_refusal_of_the_system_is_one_message(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="cannot write"):
        write_text(tmp_path / "file" / "inside", "x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InvalidInput, match="cannot write"):
        write_text(tmp_path / "folder", "x")
