"""The container of a proof: header, compressed body, digest. Everything is little endian.

    "VNNPROOF" | u16 version = 1 | u32 n | n bytes of header | body, one zlib stream | SHA-256 of all bytes before it

The header is canonical JSON, of which there is only one form (`HEADER`). The digest is compared before anything else is
looked at; it finds damage, not malice, and no claim rests on it. The body is inflated as it is read: whatever it
inflates to, no more than one piece of `MAX_RAW` is in memory.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from verify.certificate.checker.errors import Rejected, require

PREFIX = struct.Struct("<8sHI")
FORMAT = b"VNNPROOF", 1
HEADER = re.compile(
    rb'\{"cases":(?P<cases>0|[1-9][0-9]{0,14}),"claim":"(?P<claim>unsat)","leaves":(?P<leaves>0|[1-9][0-9]{0,14}),'
    rb'"network_sha256":"(?P<network_sha256>[0-9a-f]{64})","semantics":"(?P<semantics>real|float32)",'
    rb'"spec_sha256":"(?P<spec_sha256>[0-9a-f]{64})","tool":"(?P<tool>verify [0-9A-Za-z.+-]{1,50})"\}'
)
MAX_HEADER, MAX_COUNT, MAX_RAW, CHUNK = 4096, 1 << 48, 256 << 20, 64 << 10


@dataclass(frozen=True)
class Header:
    """What a proof claims: `claim` of the network and property with these SHA-256 (of the decompressed files)."""

    claim: str
    network_sha256: str
    spec_sha256: str
    semantics: str
    tool: str
    cases: int
    leaves: int


class Inflated(io.RawIOBase):
    """The inflated bytes of exactly one zlib stream; `Rejected` where it is damaged, cut off, or not alone."""

    def __init__(self, compressed: bytes | memoryview) -> None:
        self._source, self._inflater = io.BytesIO(compressed), zlib.decompressobj()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        found = b""
        while not found and not self._inflater.eof:
            piece = self._inflater.unconsumed_tail or self._source.read(CHUNK)
            try:
                found = self._inflater.decompress(piece, len(buffer))
            except zlib.error as error:
                raise Rejected(f"proof: the compressed body is damaged ({error})") from error
            require(piece or found or self._inflater.eof, "proof: the compressed body is cut off")
        require(found or not (self._inflater.unused_data or self._source.read(1)),
                "proof: bytes between the end of the body and the digest")
        buffer[: len(found)] = found
        return len(found)


class BodyReader:
    """Reads the inflated body from front to back, `consumed` bytes so far. Every method raises `Rejected` when the body
    ends or is damaged."""

    def __init__(self, compressed: bytes | memoryview) -> None:
        self._body, self.consumed = io.BufferedReader(Inflated(compressed), CHUNK), 0

    def raw(self, count: int) -> bytes:
        """The next `count` bytes, at most `MAX_RAW`."""
        require(0 <= count <= MAX_RAW, f"proof: {count} bytes in one piece; accepted: up to {MAX_RAW}")
        found = self._body.read(count)
        self.consumed += len(found)
        require(len(found) == count, f"proof: the body ends inside an item, at byte {self.consumed}")
        return found

    def u8(self) -> int:
        return self.raw(1)[0]

    def varint(self) -> int:
        """Unsigned LEB128 below 2^63 (an int64 holds it), in its shortest form."""
        value = 0
        for shift in range(0, 63, 7):
            byte = self.u8()
            value |= (byte & 127) << shift
            if byte < 128 and (byte or not shift):
                return value
            if byte == 0:
                break
        raise Rejected(f"proof: a number at byte {self.consumed} is too long or not in its shortest form")

    def f64(self) -> float:
        """A finite float64."""
        value, = struct.unpack("<d", self.raw(8))
        require(math.isfinite(value), f"proof: {value} at byte {self.consumed}; accepted: finite numbers")
        return value

    def done(self) -> None:
        """The body must end here: no further byte, the stream complete, nothing between it and the digest."""
        require(not self._body.read(1), f"proof: bytes are left over after the last case, from byte {self.consumed}")


@dataclass(frozen=True)
class Container:
    """An opened proof, its body not yet read."""

    header: Header
    body: BodyReader


def open_container(source: str | os.PathLike | bytes) -> Container:
    """Verifies frame, digest and header of a proof (a path, or its bytes). Raises `Rejected`, or OSError of the file.

    The file is read once and as a whole, so that what was hashed is what will be checked.
    """
    data = memoryview(source if isinstance(source, bytes) else Path(source).read_bytes())
    end = len(data) - hashlib.sha256().digest_size
    require(end >= PREFIX.size, "proof: too short to be a proof")
    *form, length = PREFIX.unpack_from(data)
    start = PREFIX.size + length
    require(tuple(form) == FORMAT, f"proof: not a proof of format version {FORMAT[1]}")
    require(length <= MAX_HEADER and start <= end, f"proof: a header of {length} bytes; accepted: up to {MAX_HEADER}")
    require(hashlib.sha256(data[:end]).digest() == data[end:], "proof: the digest does not fit: the file is damaged")
    return Container(read_header(bytes(data[PREFIX.size : start])), BodyReader(data[start:end]))


def read_header(data: bytes) -> Header:
    """The header in its only form. Raises `Rejected`."""
    fields = HEADER.fullmatch(data)
    texts = {name: text.decode() for name, text in fields.groupdict().items()} if fields else {}
    counts = {name: int(texts.get(name, MAX_COUNT)) for name in ("cases", "leaves")}
    require(max(counts.values()) < MAX_COUNT, f"proof header: not the canonical form of this format: {data[:400]!r}")
    return Header(**(texts | counts))
