"""Mutations change what they say: damage is damage, and forgeries carry a digest that fits."""

import hashlib
import json

import numpy as np
import pytest

from benchmarks.soundness.mutations import (
    CHANGES,
    PREFIX,
    Parts,
    changed,
    damaged,
    reissued,
    wrong_body,
    wrong_header,
)

HEADER = {"cases": 1, "claim": "unsat", "leaves": 2, "network_sha256": "ab" * 32, "semantics": "real",
          "spec_sha256": "cd" * 32, "tool": "verify 0.1.0"}
PARTS = Parts(b"VNNPROOF", 1, json.dumps(HEADER, sort_keys=True, separators=(",", ":")).encode(), bytes(range(1, 40)))


def fits(proof: bytes) -> bool:
    return hashlib.sha256(proof[:-32]).digest() == proof[-32:]


def test_taken_apart_and_put_together():
    proof = PARTS.assemble()
    assert fits(proof) and Parts.of(proof) == PARTS
    assert PREFIX.unpack_from(proof) == (b"VNNPROOF", 1, len(PARTS.header))


@pytest.mark.parametrize("name", CHANGES)
def test_changes_are_deterministic_and_mostly_change(name):
    data = bytes(range(200))
    found = [CHANGES[name](data, np.random.default_rng(seed)) for seed in range(20)]
    assert found == [CHANGES[name](data, np.random.default_rng(seed)) for seed in range(20)]
    assert sum(one != data for one in found) > 10


def test_all_changes_are_made():
    rng = np.random.default_rng(0)
    assert {changed(bytes(50), rng)[0] for _ in range(300)} >= set(CHANGES) - {"swap", "zero"}


def test_damage_does_not_fit():
    rng, proof = np.random.default_rng(1), PARTS.assemble()
    for _ in range(200):
        name, other = damaged(proof, rng)
        assert other != proof and not fits(other), name


def test_forgeries_fit():
    rng = np.random.default_rng(2)
    headers = [wrong_header(PARTS, rng) for _ in range(200)]
    assert all(fits(proof) and proof != PARTS.assemble() for _, proof in headers)
    assert len({name for name, _ in headers}) > 20
    bodies = [wrong_body(PARTS, rng, other=b"\x05" * 30) for _ in range(200)]
    assert all(fits(proof) for _, proof in bodies) and any(name == "spliced" for name, _ in bodies)
    assert all(Parts.of(proof).header == PARTS.header for _, proof in bodies)


def test_reissued_for_other_files():
    parts = reissued(PARTS.assemble(), b"network", b"spec", semantics="float32")
    header = json.loads(parts.header)
    assert header["network_sha256"] == hashlib.sha256(b"network").hexdigest()
    assert header["semantics"] == "float32" and parts.body == PARTS.body
