"""The container: what is written is read, and no other bytes are."""

import hashlib
import io
import json
import math
import random
import struct
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verify.certificate.checker.errors import Rejected
from verify.certificate.checker.stream import CHUNK, MAX_RAW, BodyReader, Header, open_container
from verify.certificate.emit.container import write_container

HEADER = {"claim": "unsat", "network_sha256": "0" * 64, "spec_sha256": "a" * 64, "semantics": "real",
          "tool": "verify 0.1.0", "cases": 1, "leaves": 3}


def encode_varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + encode_varint(value >> 7)


def canonical(header: dict) -> bytes:
    return json.dumps(header, sort_keys=True, separators=(",", ":")).encode()


def container(*chunks: bytes) -> bytes:
    file = io.BytesIO()
    write_container(file, HEADER, chunks)
    return file.getvalue()


def assembled(header: bytes = canonical(HEADER), body: bytes = zlib.compress(b"\x00"), magic: bytes = b"VNNPROOF",
              version: int = 1, length: int | None = None, after: bytes = b"") -> bytes:
    """A container with a right digest over whatever parts; written from the format's description."""
    data = magic + struct.pack("<HI", version, len(header) if length is None else length) + header + body
    return data + hashlib.sha256(data).digest() + after


def read_all(data: bytes, count: int = 1) -> bytes:
    body = open_container(data).body
    found = body.raw(count)
    body.done()
    return found


def test_layout_by_hand():
    data = container(b"ab", b"", b"c")
    assert data == assembled(body=zlib.compress(b"abc", 6))
    assert read_all(data, 3) == b"abc"
    assert open_container(data).header == Header(**HEADER)


def test_numbers():
    values = [0, 1, 127, 128, 300, 2**32, 2**63 - 1]
    body = open_container(container(*map(encode_varint, values), struct.pack("<2d", -0.0, 5e-324), b"\xff")).body
    assert [body.varint() for _ in values] == values
    assert math.copysign(1, body.f64()) == -1 and body.f64() == 5e-324 and body.u8() == 255
    body.done()
    assert body.consumed == sum(len(encode_varint(v)) for v in values) + 17


@given(st.lists(st.one_of(st.integers(0, 2**63 - 1), st.binary(max_size=50),
                          st.floats(allow_nan=False, allow_infinity=False)), max_size=40))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_what_is_written_is_read(items):
    def encode(item) -> bytes:
        return encode_varint(item) if isinstance(item, int) else (
            struct.pack("<d", item) if isinstance(item, float) else item)

    body = open_container(container(*map(encode, items))).body
    for item in items:
        kind = type(item)
        found = body.varint() if kind is int else body.f64() if kind is float else body.raw(len(item))
        assert found == item
    body.done()


def test_pieces_across_chunks():
    content = random.Random(1).randbytes(3 * CHUNK + 17)
    body = open_container(container(content)).body
    sizes = [1, CHUNK - 1, CHUNK + 5, 0, 3, CHUNK - 3, 12]
    found = b"".join(body.raw(size) for size in sizes)
    body.done()
    assert found == content and body.consumed == len(content)


@pytest.mark.parametrize("data", [b"\x80\x00", b"\xff\x80\x00", b"\xff" * 9, b"\x80" * 9 + b"\x01", b"\x80" * 30])
def test_varints_that_are_long_or_not_shortest(data):
    with pytest.raises(Rejected, match="too long or not in its shortest form"):
        BodyReader(zlib.compress(data)).varint()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite(value):
    with pytest.raises(Rejected, match="accepted: finite numbers"):
        BodyReader(zlib.compress(struct.pack("<d", value))).f64()


@pytest.mark.parametrize("read", [BodyReader.u8, BodyReader.varint, BodyReader.f64, lambda body: body.raw(3)])
@pytest.mark.parametrize("content", [b"", b"\x80"])
def test_a_body_that_ends_inside_an_item(read, content):
    body = BodyReader(zlib.compress(content))
    if read is BodyReader.u8:
        body.raw(len(content))
    with pytest.raises(Rejected, match="ends inside an item"):
        read(body)


def test_leftovers():
    with pytest.raises(Rejected, match="left over after the last case, from byte 1"):
        read_all(container(b"ab"))
    with pytest.raises(Rejected, match="left over"):
        open_container(container(b"a")).body.done()
    full = open_container(container(b"a" * CHUNK + b"b")).body
    full.raw(CHUNK)
    with pytest.raises(Rejected, match="left over"):
        full.done()
    with pytest.raises(Rejected, match="between the end of the body and the digest"):
        read_all(assembled(body=zlib.compress(b"a") + b"x"))
    with pytest.raises(Rejected, match="between the end of the body and the digest"):
        read_all(assembled(body=zlib.compress(b"a") + bytes(3 * CHUNK)))
    with pytest.raises(Rejected, match="between the end of the body and the digest"):
        read_all(assembled(body=zlib.compress(b"a") + zlib.compress(b"b")), 2)


def test_damaged_compression_under_a_right_digest():
    whole = zlib.compress(bytes(range(200)))
    for end in range(len(whole)):
        with pytest.raises(Rejected, match="cut off"):
            read_all(assembled(body=whole[:end]), 200)
    for damaged in (b"\x00" + whole[1:], whole[:-1] + bytes([whole[-1] ^ 1])):
        with pytest.raises(Rejected, match="damaged"):
            read_all(assembled(body=damaged), 200)
    for wbits in (-15, 31):  # raw deflate and gzip are no zlib streams
        other = zlib.compressobj(6, zlib.DEFLATED, wbits)
        with pytest.raises(Rejected, match="damaged"):
            read_all(assembled(body=other.compress(b"a") + other.flush()))


def test_every_bit_flip_is_rejected():
    data = container(b"\x01\x02", random.Random(2).randbytes(30))
    for position in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[position // 8] ^= 1 << position % 8
        with pytest.raises(Rejected):
            open_container(bytes(flipped))


def test_every_truncation_and_every_appendix_is_rejected():
    data = container(b"\x01\x02\x03")
    for end in range(len(data)):
        with pytest.raises(Rejected):
            open_container(data[:end])
    for more in (b"\x00", b"\n", data, data[-32:]):
        with pytest.raises(Rejected):
            open_container(data + more)
        with pytest.raises(Rejected):
            open_container(more + data)


def test_random_bytes_are_rejected():
    rng = random.Random(3)
    for _ in range(500):
        data = rng.choice([b"", b"VNNPROOF", b"VNNPROOF\x01\x00"]) + rng.randbytes(rng.randrange(120))
        with pytest.raises(Rejected):
            open_container(data)


def test_random_bodies_are_read_or_rejected():
    """Nothing but `Rejected` ever comes out of reading what an attacker wrote with a right digest."""
    rng = random.Random(4)
    ended = 0
    for _ in range(300):
        body = bytearray(zlib.compress(rng.randbytes(rng.randrange(60))))
        for _ in range(rng.randrange(4)):
            body[rng.randrange(len(body))] ^= 1 << rng.randrange(8)
        reader = open_container(assembled(body=bytes(body))).body
        try:
            while True:
                rng.choice([reader.u8, reader.varint, reader.f64, lambda reader=reader: reader.raw(9)])()
        except Rejected as error:
            assert "\n" not in str(error)
            ended += 1
    assert ended == 300


@pytest.mark.parametrize(("change", "message"), [
    ({"magic": b"VNNPROOE"}, "not a proof of format version 1"),
    ({"version": 2}, "not a proof of format version 1"),
    ({"version": 0}, "not a proof of format version 1"),
    ({"length": 2**32 - 1}, "a header of 4294967295 bytes"),
    ({"length": 4097}, "a header of 4097 bytes"),
    ({"length": 1000}, "a header of 1000 bytes"),
    ({"length": 0}, "canonical form"),
    ({"after": b"\x00"}, "digest"),
])
def test_frames(change, message):
    with pytest.raises(Rejected, match=message):
        open_container(assembled(**change))


@pytest.mark.parametrize(("key", "value"), [
    ("claim", "sat"), ("claim", ""), ("claim", ["unsat"]), ("semantics", "float64"), ("semantics", "real\n"),
    ("network_sha256", "0" * 63), ("network_sha256", "A" * 64), ("network_sha256", "0" * 64 + "\n"),
    ("spec_sha256", None), ("spec_sha256", "g" * 64), ("tool", "other 1.0"), ("tool", "verify \u00e9"), ("tool", 1),
    ("cases", -1), ("cases", True), ("cases", 1.0), ("cases", "1"), ("cases", 10**20),
    ("cases", 1 << 48), ("leaves", 10**15), ("leaves", None),
])
def test_header_fields(key, value):
    changed = HEADER | {key: value}
    with pytest.raises(Rejected, match="proof header") as caught:
        open_container(assembled(canonical(changed)))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 999


@pytest.mark.parametrize("header", [
    b"", b"[]", b"null", b"3", b"{}", b'"unsat"', b"\xff", b"[" * 4000, b"{" * 4000, b'{"claim":',
    canonical({k: v for k, v in HEADER.items() if k != "tool"}), canonical(HEADER | {"more": 1}),
    canonical(HEADER) + b"1", canonical(HEADER).replace(b'"cases":1', b'"cases":' + b"1" * 4000),
])
def test_headers_of_another_structure(header):
    with pytest.raises(Rejected, match="canonical form"):
        open_container(assembled(header[:4096]))


@pytest.mark.parametrize("header", [
    json.dumps(dict(reversed(sorted(HEADER.items()))), separators=(",", ":")).encode(),
    json.dumps(HEADER, sort_keys=True).encode(), canonical(HEADER) + b"\n", b" " + canonical(HEADER),
    canonical(HEADER).replace(b'"cases":1', b'"cases":2,"cases":1'),
    canonical(HEADER).replace(b'"real"', b'"\\u0072eal"'), canonical(HEADER).decode().encode("utf-16"),
    canonical(HEADER).replace(b'"cases":1', b'"cases":01'),
])
def test_headers_that_are_not_canonical(header):
    with pytest.raises(Rejected, match="canonical form"):
        open_container(assembled(header))


def test_a_bomb_needs_no_memory():
    """64 MiB of zeros in 64 KiB: read piece by piece, or refused in one piece."""
    deflater = zlib.compressobj(9)
    block = bytes(1 << 20)
    body = b"".join(deflater.compress(block) for _ in range(64)) + deflater.flush()
    data = assembled(body=body)
    tracemalloc.start()
    reader = open_container(data).body
    for _ in range(64 * 16):
        reader.raw(1 << 16)
    reader.done()
    with pytest.raises(Rejected, match="left over"):
        open_container(data).body.done()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 << 20
    for count in (MAX_RAW + 1, 2**62, -1):
        with pytest.raises(Rejected, match="in one piece"):
            open_container(data).body.raw(count)
