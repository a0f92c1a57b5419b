"""What is written is what `stream` reads, as it comes, and only with a header that it accepts."""

from __future__ import annotations

import io
import random

import pytest

from verify.certificate.checker.errors import Rejected
from verify.certificate.checker.stream import CHUNK, Header, open_container
from verify.certificate.emit.container import write_container

HEADER = {"claim": "unsat", "network_sha256": "0" * 64, "spec_sha256": "a" * 64, "semantics": "real",
          "tool": "verify 0.1.0", "cases": 1, "leaves": 3}


def test_a_file_and_its_bytes_are_the_same(tmp_path):
    path = tmp_path / "proof"
    with path.open("wb") as file:
        write_container(file, HEADER, [b"xyz"])
    for source in (path, path.read_bytes()):
        opened = open_container(source)
        assert opened.header == Header(**HEADER) and opened.body.raw(3) == b"xyz"
    with pytest.raises(FileNotFoundError):
        open_container(tmp_path / "gone")


def test_bytes_are_written_as_they_come():
    """The writer keeps no more than what its compressor keeps."""
    file, sizes = io.BytesIO(), []

    def chunks():
        rng = random.Random(5)
        for _ in range(20):
            yield rng.randbytes(CHUNK)
            sizes.append(file.tell())

    write_container(file, HEADER, chunks())
    assert sizes[9] > 8 * CHUNK and open_container(file.getvalue()).header.leaves == 3


@pytest.mark.parametrize("changes", [{"claim": "sat"}, {"cases": True}, {"leaves": None}, {"tool": "other"}, {"a": 1}])
def test_headers_that_the_checker_would_not_accept(changes):
    with pytest.raises(Rejected, match="proof header"):
        write_container(io.BytesIO(), HEADER | changes, [])
