"""Writes the container of a proof (`verify.certificate.checker.stream`): header, compressed body, digest."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable
from typing import BinaryIO

from verify.certificate.checker.stream import FORMAT, PREFIX, read_header


def write_container(file: BinaryIO, header: dict, body_chunks: Iterable[bytes]) -> None:
    """Writes a proof with the inflated body `body_chunks`, which is compressed as it comes. Raises `Rejected` for a
    header (name -> value, the fields of `Header`) that the checker would not accept."""
    digest, deflater = hashlib.sha256(), zlib.compressobj(6)
    encoded = json.dumps(header, sort_keys=True, separators=(",", ":")).encode("ascii")
    read_header(encoded)

    def write(data: bytes) -> None:
        digest.update(data)
        file.write(data)

    write(PREFIX.pack(*FORMAT, len(encoded)) + encoded)
    for chunk in body_chunks:
        write(deflater.compress(chunk))
    write(deflater.flush())
    file.write(digest.digest())
