"""The container of a proof: header, compressed body, digest. Everything is little endian.

    "VNNPROOF" | u16 version = 1 | u32 n | n bytes of header | body, one zlib stream | SHA-256 of all bytes before it

The header is canonical JSON (keys sorted, no white space, ASCII) with exactly the fields of `Header`. The digest is
compared before anything of the body is looked at; it finds damage, not malice, and no claim rests on it. The body is
inflated as it is read: whatever it inflates to, no more than one piece of `MAX_RAW` is in memory.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
import struct
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from verify.certificate.checker.errors import Rejected

MAGIC = b"VNNPROOF"
VERSION = 1
SEMANTICS = ("real", "float32")
MAX_HEADER = 4096
MAX_RAW = 256 << 20
CHUNK = 64 << 10
_PREFIX = struct.Struct("<8sHI")


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

    def __post_init__(self) -> None:
        """Raises `Rejected` for a field that is not exactly as specified."""
        rules = {"claim": "unsat", "network_sha256": "[0-9a-f]{64}", "spec_sha256": "[0-9a-f]{64}",
                 "semantics": "|".join(SEMANTICS), "tool": "verify [0-9A-Za-z.+-]{1,50}"}
        for name, rule in rules.items():
            value = getattr(self, name)
            if type(value) is not str or not re.fullmatch(rule, value, re.ASCII):
                raise Rejected(f"proof header: {name} is {str(value)[:80]!r}; accepted: {rule}")
        for name in ("cases", "leaves"):
            if type(value := getattr(self, name)) is not int or not 0 <= value < 1 << 48:
                raise Rejected(f"proof header: {name} is {str(value)[:80]!r}; accepted: a number")

    def encode(self) -> bytes:
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode("ascii")


class BodyReader:
    """Reads the inflated body from front to back. Every method raises `Rejected` when the body ends or is damaged."""

    def __init__(self, compressed: bytes | memoryview) -> None:
        self._source, self._inflater = io.BytesIO(compressed), zlib.decompressobj()
        self._buffer, self._next, self._before = b"", 0, 0

    @property
    def consumed(self) -> int:
        """How many bytes of the inflated body have been read."""
        return self._before + self._next

    def raw(self, count: int) -> bytes:
        """The next `count` bytes, at most `MAX_RAW`."""
        if not 0 <= count <= MAX_RAW:
            raise Rejected(f"proof: {count} bytes in one piece at byte {self.consumed}; accepted: up to {MAX_RAW}")
        found = self._buffer[self._next:self._next + count]
        self._next += len(found)
        while len(found) < count:
            found = found if isinstance(found, bytearray) else bytearray(found)
            if not self._refill():
                raise Rejected(f"proof: the body ends inside an item, at byte {self.consumed}")
            self._next = min(count - len(found), len(self._buffer))
            found += self._buffer[:self._next]
        return bytes(found)

    def u8(self) -> int:
        if self._next == len(self._buffer):
            return self.raw(1)[0]
        self._next += 1
        return self._buffer[self._next - 1]

    def varint(self) -> int:
        """Unsigned LEB128 below 2^63 (an int64 holds it), in its shortest form."""
        value = 0
        for shift in range(0, 63, 7):
            byte = self.u8()
            value |= (byte & 127) << shift
            if byte < 128:
                if byte == 0 and shift:
                    break
                return value
        raise Rejected(f"proof: a number at byte {self.consumed} is too long or not in its shortest form")

    def f64(self) -> float:
        """A finite float64."""
        value, = struct.unpack("<d", self.raw(8))
        if not math.isfinite(value):
            raise Rejected(f"proof: {value} at byte {self.consumed}; accepted: finite numbers")
        return value

    def done(self) -> None:
        """The body must end here: no further byte, the stream complete, nothing between it and the digest."""
        if self._next < len(self._buffer) or self._refill():
            raise Rejected(f"proof: bytes are left over after the last case, from byte {self.consumed}")

    def _refill(self) -> bool:
        """Inflates the next piece into the used-up buffer; false at a proper end of the stream."""
        self._before, self._buffer, self._next = self.consumed, b"", 0
        while not self._buffer and not self._inflater.eof:
            piece = self._inflater.unconsumed_tail or self._source.read(CHUNK)
            try:
                self._buffer = self._inflater.decompress(piece, CHUNK)
            except zlib.error as error:
                raise Rejected(f"proof: the compressed body is damaged ({error})") from error
            if not (piece or self._buffer or self._inflater.eof):
                raise Rejected("proof: the compressed body is cut off")
        if not self._buffer and (self._inflater.unused_data or self._source.read(1)):
            raise Rejected("proof: bytes between the end of the body and the digest")
        return bool(self._buffer)


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
    if end < _PREFIX.size:
        raise Rejected("proof: too short to be a proof")
    magic, version, length = _PREFIX.unpack_from(data)
    if magic != MAGIC or version != VERSION:
        raise Rejected(f"proof: not a proof of format version {VERSION}")
    start = _PREFIX.size + length
    if length > MAX_HEADER or start > end:
        raise Rejected(f"proof: a header of {length} bytes; accepted: up to {MAX_HEADER}, within the file")
    if hashlib.sha256(data[:end]).digest() != data[end:]:
        raise Rejected("proof: the digest at its end does not fit: the file is damaged")
    return Container(_header(bytes(data[_PREFIX.size:start])), BodyReader(data[start:end]))


def _header(data: bytes) -> Header:
    try:
        header = Header(**json.loads(data))
    except (ValueError, TypeError, RecursionError) as error:  # no JSON, no object, other keys
        raise Rejected("proof header: not a JSON object with exactly the keys of this format") from error
    if header.encode() != data:
        raise Rejected("proof header: not in canonical form (keys sorted and unique, no white space)")
    return header


def write_container(file: BinaryIO, header: dict, body_chunks: Iterable[bytes]) -> None:
    """Writes a proof with the inflated body `body_chunks`, which is compressed as it comes. Raises `Rejected` for a
    header that `open_container` would not accept."""
    digest, deflater = hashlib.sha256(), zlib.compressobj(6)
    encoded = Header(**header).encode()

    def write(data: bytes) -> None:
        digest.update(data)
        file.write(data)

    write(_PREFIX.pack(MAGIC, VERSION, len(encoded)) + encoded)
    for chunk in body_chunks:
        write(deflater.compress(chunk))
    write(deflater.flush())
    file.write(digest.digest())
