"""Foreign proofs for public instances: which neighbours, and what counts as wrong."""

import pytest

from benchmarks.instances import Instance
from benchmarks.soundness import known_sat, neighbours
from benchmarks.soundness.proof_subjects import subject

HERE = Instance("a", "n1", "p1", 9.0, "sat")


@pytest.fixture
def family(monkeypatch):
    others = [("a", "n2", "p2"), ("b", "n1", "p1"), ("a", "n2", "p1"), ("a", "n1", "p3")]
    monkeypatch.setattr(neighbours, "holding", lambda: tuple(Instance(*o, 9.0, "unsat") for o in others))
    monkeypatch.setattr(known_sat, "instances", lambda: (HERE,))
    s = next(s for s in (subject(n, 10_000) for n in range(40)) if s is not None)
    network, spec = s.neighbours[0]
    monkeypatch.setattr(neighbours, "content", lambda name: network if name.startswith("n") else spec)
    return s


def test_the_nearest_come_first(family):
    assert [(e.onnx, e.vnnlib) for e in neighbours.candidates(HERE)] == [("n1", "p3"), ("n2", "p1"), ("n2", "p2")]


def test_foreign_proofs_are_offered(family, monkeypatch):
    monkeypatch.setattr(neighbours, "proof_of", lambda onnx, vnnlib: family.proof if vnnlib == "p1" else None)
    tally = neighbours.run(range(1), 0)
    assert tally.tried == neighbours.MUTATIONS and not tally.wrong
    monkeypatch.setattr(neighbours, "accepted", lambda *args: True)
    assert len(neighbours.run(range(1), 0).wrong) == neighbours.MUTATIONS


def test_instances_without_a_proof_next_to_them_are_skipped(family, monkeypatch):
    monkeypatch.setattr(neighbours, "proof_of", lambda onnx, vnnlib: None)
    assert neighbours.run(range(1), 0).skipped == 1


@pytest.mark.skipif(bool(known_sat.missing()), reason="no ../shared/bench next to the repository")
def test_most_violated_instances_have_neighbours():
    assert sum(bool(neighbours.candidates(instance)) for instance in known_sat.instances()) > 200
