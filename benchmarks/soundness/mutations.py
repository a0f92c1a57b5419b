"""Damaged and forged proofs: a mutation engine for the container of docs/certificates.md.

`damaged` changes bytes and leaves the digest as it is; `forged` takes the container apart, changes the header or the
inflated body, and puts it together again with a right digest, as somebody with bad intentions would; `reissued` gives
the evidence of one claim to another. Shares no code with the writer.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

PREFIX = struct.Struct("<8sHI")
DIGEST = 32


@dataclass(frozen=True)
class Parts:
    """A container taken apart: `body` is inflated."""

    magic: bytes
    version: int
    header: bytes
    body: bytes

    @classmethod
    def of(cls, proof: bytes) -> Parts:
        magic, version, length = PREFIX.unpack_from(proof)
        start = PREFIX.size + length
        return cls(magic, version, proof[PREFIX.size:start], zlib.decompress(proof[start:-DIGEST]))

    def assemble(self) -> bytes:
        """The container with a digest that fits."""
        prefix = PREFIX.pack(self.magic, self.version, len(self.header))
        data = prefix + self.header + zlib.compress(self.body)
        return data + hashlib.sha256(data).digest()

    def with_fields(self, **fields: Any) -> Parts:
        document = {**json.loads(self.header), **fields}
        return replace(self, header=json.dumps(document, sort_keys=True, separators=(",", ":")).encode())


def reissued(proof: bytes, network: bytes, spec: bytes, **fields: Any) -> Parts:
    """The same evidence with a header about another network and property."""
    return Parts.of(proof).with_fields(network_sha256=hashlib.sha256(network).hexdigest(),
                                       spec_sha256=hashlib.sha256(spec).hexdigest(), **fields)


Change = Callable[[bytes, np.random.Generator], bytes]


def _place(data: bytes, rng: np.random.Generator) -> int:
    return int(rng.integers(max(1, len(data))))


def _span(data: bytes, rng: np.random.Generator) -> tuple[int, int]:
    """A short piece, up to 24 bytes, or now and then any piece."""
    first = _place(data, rng)
    longest = 24 if rng.random() < 0.8 else max(1, len(data))
    return first, min(len(data), first + int(rng.integers(1, longest + 1)))


def flip_bit(data: bytes, rng: np.random.Generator) -> bytes:
    at = _place(data, rng)
    return data[:at] + bytes([data[at] ^ (1 << int(rng.integers(8)))]) + data[at + 1:]


def set_byte(data: bytes, rng: np.random.Generator) -> bytes:
    """Another byte; often one that means something in the format."""
    at = _place(data, rng)
    new = int(rng.choice([0, 1, 2, 3, 4, 5, 8, 16, 127, 128, 255])) if rng.random() < 0.5 else int(rng.integers(256))
    return data[:at] + bytes([new if new != data[at] else new ^ 1]) + data[at + 1:]


def set_number(data: bytes, rng: np.random.Generator) -> bytes:
    """Eight bytes become a float64: NaN, an infinity, zero, or anything."""
    at = _place(data, rng)
    value = rng.choice([np.nan, np.inf, -np.inf, 0.0, 1e300, float(rng.normal())])
    return data[:at] + struct.pack("<d", value) + data[at + 8:]


def truncate(data: bytes, rng: np.random.Generator) -> bytes:
    return data[:_place(data, rng)]


def cut_out(data: bytes, rng: np.random.Generator) -> bytes:
    first, end = _span(data, rng)
    return data[:first] + data[end:]


def insert(data: bytes, rng: np.random.Generator) -> bytes:
    at = _place(data, rng)
    return data[:at] + rng.bytes(int(rng.integers(1, 9))) + data[at:]


def repeat(data: bytes, rng: np.random.Generator) -> bytes:
    first, end = _span(data, rng)
    return data[:end] + data[first:end] + data[end:]


def swap(data: bytes, rng: np.random.Generator) -> bytes:
    """Two neighbouring pieces in the other order."""
    first, middle = _span(data, rng)
    end = min(len(data), middle + middle - first)
    return data[:first] + data[middle:end] + data[first:middle] + data[end:]


def zero(data: bytes, rng: np.random.Generator) -> bytes:
    first, end = _span(data, rng)
    return data[:first] + bytes(end - first) + data[end:]


def append(data: bytes, rng: np.random.Generator) -> bytes:
    return data + rng.bytes(int(rng.integers(1, 5)))


CHANGES: MappingProxyType[str, Change] = MappingProxyType({change.__name__: change for change in (
    flip_bit, set_byte, set_number, truncate, cut_out, insert, repeat, swap, zero, append)})


def changed(data: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """(what was done, other bytes than `data`)."""
    while True:
        name = str(rng.choice(list(CHANGES)))
        found = CHANGES[name](data, rng)
        if found != data:
            return name, found


def damaged(proof: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """The file with one change and nothing made to fit."""
    return changed(proof, rng)


def _header_fields(header: dict[str, Any], rng: np.random.Generator) -> tuple[tuple[str, Any], ...]:
    turned = header["network_sha256"]
    return (
        ("claim", "sat"), ("claim", "unknown"), ("claim", ["unsat"]), ("claim", "UNSAT"), ("semantics", "both"),
        ("semantics", ""), ("semantics", None), ("cases", header["cases"] + 1), ("cases", 0), ("cases", -1),
        ("cases", float(header["cases"])), ("cases", True), ("cases", 1 << 60), ("leaves", header["leaves"] + 1),
        ("leaves", 0), ("leaves", str(header["leaves"])), ("tool", "another tool"), ("tool", "verify \x00"),
        ("network_sha256", turned[::-1]), ("network_sha256", turned.upper()), ("network_sha256", turned + "0"),
        ("spec_sha256", header["network_sha256"]), ("spec_sha256", int(rng.integers(1 << 30))),
        ("a new key", 1), ("Claim", "unsat"),
    )


def wrong_header(parts: Parts, rng: np.random.Generator) -> tuple[str, bytes]:
    """A header that is not the one of this proof, or not canonical, under a digest that fits."""
    header = json.loads(parts.header)
    kind = int(rng.integers(6))
    if kind == 0:
        key = str(rng.choice(list(header)))
        rest = {name: value for name, value in header.items() if name != key}
        data = json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()
        return f"without {key}", replace(parts, header=data).assemble()
    if kind == 1:
        data = json.dumps(header, sort_keys=True, indent=int(rng.integers(3)) or None).encode()
        return "other white space", replace(parts, header=data).assemble()
    if kind == 2:
        return "key given twice", replace(parts, header=b'{"claim":"sat",' + parts.header[1:]).assemble()
    if kind == 3:
        return f"version {parts.version + 1}", replace(parts, version=parts.version + 1).assemble()
    if kind == 4:
        name, data = changed(parts.header, rng)
        return f"header: {name}", replace(parts, header=data).assemble()
    fields = _header_fields(header, rng)
    key, value = fields[rng.integers(len(fields))]
    return f"{key} = {value!r}", parts.with_fields(**{key: value}).assemble()


def wrong_body(parts: Parts, rng: np.random.Generator, other: bytes = b"") -> tuple[str, bytes]:
    """One to three changes of the inflated body, or a piece of `other` (another proof's body) in it; the digest
    fits."""
    if other and rng.random() < 0.3:
        first, end = _span(other, rng)
        at, until = _span(parts.body, rng)
        return "spliced", replace(parts, body=parts.body[:at] + other[first:end] + parts.body[until:]).assemble()
    names, body = [], parts.body
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        if body:
            name, body = changed(body, rng)
            names.append(name)
    return ", ".join(names), replace(parts, body=body).assemble()
