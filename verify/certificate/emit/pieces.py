"""The nodes of a proof while it is put together, and their bytes (format: docs/certificates.md)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from verify.certificate.checker import check, nodes
from verify.certificate.checker.nodes import Domain, Leaf


@dataclass(eq=False)
class Piece:
    """One node: the bytes of an inner node with its children behind it, or a leaf with its evidence."""

    code: bytes = b""
    children: tuple[Piece, ...] = ()
    leaf: Leaf | None = None

    def chunks(self) -> Iterator[bytes]:
        """The bytes of the tree in pre-order. Alpha vectors are numbered per context as they are sent."""
        sent: dict[int, dict[int, int]] = {}
        stack = [self]
        while stack:
            piece = stack.pop()
            if piece.leaf is None:
                yield piece.code
            else:
                yield _leaf_code(piece.leaf, sent.setdefault(id(piece.leaf.domain.context), {}))
            stack += reversed(piece.children)


def _leaf_code(leaf: Leaf, sent: dict[int, int]) -> bytes:
    flags, parts = check.REFRESH * leaf.refresh, []
    if leaf.alpha is not None:
        known = sent.get(id(leaf.alpha))
        flags |= check.OWN_ALPHA if known is None else check.SENT_ALPHA
        parts.append(leaf.alpha.tobytes() if known is None else varint(known))
        sent.setdefault(id(leaf.alpha), len(sent))
    if leaf.beta is not None:
        flags |= check.BETA
        parts.append(_bfloat16(leaf.beta))
    if leaf.weights is not None:
        flags |= check.WEIGHTS
        parts += map(_bfloat16, leaf.weights)
    return bytes([check.LEAF, flags]) + b"".join(parts)


def varint(value: int) -> bytes:
    """Unsigned LEB128."""
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def rounded(values: np.ndarray) -> np.ndarray:
    """Non-negative numbers rounded to bfloat16, as float64; what is no number or too large becomes 0."""
    values = np.where((values > 0) & (values < 1e38), values, 0.0).astype(np.float32)
    bits = values.view(np.uint32) + np.uint32(0x8000) & np.uint32(0xFFFF0000)
    return bits.view(np.float32).astype(np.float64)


def _bfloat16(values: np.ndarray) -> bytes:
    return (values.astype(np.float32).view(np.uint32) >> 16).astype("<u2").tobytes()


def input_split(domain: Domain, index: int, threshold: float) -> tuple[bytes, tuple[Domain, Domain]]:
    """Bytes and children of a cut of input `index`."""
    code = bytes([check.INPUT_SPLIT]) + varint(index) + struct.pack("<d", threshold)
    return code, nodes.halves(domain, index, threshold)


def relu_split(domain: Domain, column: int) -> tuple[bytes, tuple[Domain, Domain]]:
    """Bytes and children of a split of the ReLU in `column`."""
    net = domain.context.net
    layer = next(layer for layer in net.layers if column < layer.start - net.inputs + layer.size)
    neuron = int(layer.neurons[column - (layer.start - net.inputs)])
    return bytes([check.RELU_SPLIT]) + varint(layer.order) + varint(neuron), nodes.sides(domain, column)
