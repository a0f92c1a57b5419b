"""Bytes of nodes: what the checker's reader decodes is what was meant."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
import pytest

from tests.verify.certificate.proofs import ask, collapsed, floors, random_layers
from verify.certificate.checker import check, nodes
from verify.certificate.checker.nodes import Context, Leaf, decode_bfloat16
from verify.certificate.checker.stream import BodyReader
from verify.certificate.emit.pieces import Piece, input_split, relu_split, rounded, varint


def reader(data: bytes) -> BodyReader:
    return BodyReader(zlib.compress(data))


@pytest.fixture(scope="module")
def domain():
    network = random_layers(1, (2, 6, 6, 1))
    return collapsed(ask(network, floors(network, [-1, -1], [1, 1], (1.0,))))[0].domain


def test_varints_are_read_back():
    numbers = [0, 1, 127, 128, 300, 2**14 - 1, 2**14, 2**32, 2**63 - 1]
    body = reader(b"".join(map(varint, numbers)))
    assert [body.varint() for _ in numbers] == numbers
    body.done()


def test_rounded_numbers_are_the_nearest_bfloat16():
    rng = np.random.default_rng(0)
    values = np.exp(rng.uniform(-60, 60, 1000))
    found = rounded(values)
    assert (np.abs(found - values) <= 2.0**-8 * values).all() and np.array_equal(rounded(found), found)
    assert rounded(np.array([0.0, -1.0, -0.0, np.nan, np.inf, -np.inf, 1e39])).tolist() == [0.0] * 7
    assert rounded(np.array([1.0, 0.5, 3.0])).tolist() == [1.0, 0.5, 3.0]


def test_input_splits(domain):
    code, (first, second) = input_split(domain, 1, 0.25)
    body = reader(code)
    assert (body.u8(), body.varint(), body.f64()) == (check.INPUT_SPLIT, 1, 0.25)
    assert first.x_upper.tolist() == [1, 0.25] and second.x_lower.tolist() == [-1, 0.25]
    assert first.x_lower.tolist() == [-1, -1] and second.x_upper.tolist() == [1, 1]


def test_relu_splits(domain):
    net = domain.context.net
    for column in range(net.unstable):
        code, (on, off) = relu_split(domain, column)
        body = reader(code)
        assert body.u8() == check.RELU_SPLIT
        assert nodes.column_of(net, body.varint(), body.varint()) == column
        assert on.signs()[column] == 1 and off.signs()[column] == -1
        body.done()


def test_leaves_in_pre_order_with_what_they_carry(domain):
    size = nodes.alpha_size(domain.context.net)
    alpha = np.arange(size, dtype=np.uint8)
    _, (on, off) = relu_split(domain, 0)
    leaves = [Leaf(on, True, alpha, np.array([0.5]), None), Leaf(off, False, alpha, None, [np.array([1.0, 2.0])])]
    tree = Piece(b"\2\0\0", tuple(Piece(leaf=leaf) for leaf in leaves))
    body = reader(b"".join(tree.chunks()))
    assert body.raw(3) == b"\2\0\0"
    assert (body.u8(), body.u8()) == (check.LEAF, check.REFRESH | check.OWN_ALPHA | check.BETA)
    assert body.raw(size) == alpha.tobytes() and decode_bfloat16(body.raw(2)).tolist() == [0.5]
    assert (body.u8(), body.u8(), body.varint()) == (check.LEAF, check.SENT_ALPHA | check.WEIGHTS, 0)
    assert decode_bfloat16(body.raw(4)).tolist() == [1.0, 2.0]
    body.done()


def test_alpha_vectors_are_numbered_per_context(domain):
    """The same vector is sent once in every context; equal but different ones twice."""
    other = replace(domain, context=Context(domain.context.net))
    size = nodes.alpha_size(domain.context.net)
    first, second = np.zeros(size, dtype=np.uint8), np.ones(size, dtype=np.uint8)
    order = [(domain, first), (other, first), (domain, second), (domain, first), (other, first), (domain, second)]
    pieces = tuple(Piece(leaf=Leaf(where, False, alpha, None, None)) for where, alpha in order)
    body = reader(b"".join(Piece(b"", pieces).chunks()))
    found = []
    for _ in order:
        assert body.u8() == check.LEAF
        flags = body.u8()
        found.append(body.raw(size)[0] if flags == check.OWN_ALPHA else f"number {body.varint()}")
    assert found == [0, 0, 1, "number 0", "number 0", "number 1"]


def test_a_plain_leaf_is_two_bytes(domain):
    assert b"".join(Piece(leaf=Leaf(domain, False, None, None, None)).chunks()) == bytes([check.LEAF, 0])
