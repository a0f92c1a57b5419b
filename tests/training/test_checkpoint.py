from __future__ import annotations

import pytest
import torch

from tests.training.toy import conv, mlp, patterns
from training.checkpoint import Checkpoint, fingerprint, read, write
from training.settings import settings_for
from verify.errors import InvalidInput

EMPTY = Checkpoint("me", [], {"w": torch.ones(2)}, {}, {}, (0.5, {"w": torch.zeros(2)}))


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "new" / "checkpoint.pt"
    assert read(path, "me") is None
    write(path, EMPTY)
    found = read(path, "me")
    assert found.identity == "me" and torch.equal(found.model["w"], EMPTY.model["w"]) and found.best[0] == 0.5


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.pt"
    write(path, EMPTY)
    before = path.read_bytes()

    def half(content, temporary):
        temporary.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(InvalidInput, match="No space left"):
        write(path, EMPTY)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04" + 50 * b"\0"])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=r"checkpoint.pt is not a checkpoint of this program .*; remove it"):
        read(path, "me")


def test_truncated_files_and_other_pickles_are_refused(tmp_path):
    path = tmp_path / "checkpoint.pt"
    write(path, EMPTY)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InvalidInput, match="is not a checkpoint"):
        read(path, "me")
    torch.save({"state": torch.ones(1)}, path)
    with pytest.raises(InvalidInput, match="is not a checkpoint"):
        read(path, "me")


def test_fingerprints():
    settings, data = settings_for("ibp", device="cpu"), patterns()
    first = fingerprint(mlp(), settings, data)
    assert first == fingerprint(mlp(), settings_for("ibp", device="auto"), data)
    others = [fingerprint(mlp(1), settings, data), fingerprint(conv(), settings, data),
              fingerprint(mlp(), settings_for("ibp", lr=0.1), data), fingerprint(mlp(), settings, patterns(20))]
    assert len({first, *others}) == 5
