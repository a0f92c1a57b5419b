"""The sweep over public instances: which ones, and what is made of their verdicts."""

from types import SimpleNamespace

import pytest

from benchmarks.instances import Instance
from benchmarks.soundness import known_sat


@pytest.fixture
def three(monkeypatch):
    rows = [Instance("a", f"{k}.onnx", f"{k}.vnnlib", 9.0, "sat") for k in range(3)]
    monkeypatch.setattr(known_sat, "instances", lambda: tuple(rows))
    verdicts = iter(("sat", "unsat", "error"))
    monkeypatch.setattr(known_sat, "run_instance",
                        lambda *args: SimpleNamespace(verdict=next(verdicts), reason="broken"))


def test_unsat_is_wrong_and_errors_are_named(three, monkeypatch):
    monkeypatch.setattr(known_sat, "holds_by_far", lambda instance: False)
    tally = known_sat.run(range(3), 0)
    assert tally.tried == 3 and [finding.case for finding in tally.wrong] == [1]
    assert tally.counts == {"a: error": 1, "a: sat": 1, "a: unsat": 1}
    assert tally.notes == ("error on 2.onnx with 2.vnnlib: broken",)


def test_a_label_that_an_independent_minimum_contradicts_is_disputed(three, monkeypatch):
    monkeypatch.setattr(known_sat, "holds_by_far", lambda instance: True)
    tally = known_sat.run(range(3), 0)
    assert not tally.wrong and tally.counts["labels disputed"] == 1


@pytest.mark.parametrize(("least", "far"), [(None, False), (0.005, False), (-1.0, False), (0.5, True)])
def test_a_second_opinion_must_be_clear(tmp_path, monkeypatch, least, far):
    monkeypatch.setattr(known_sat, "BENCH", tmp_path)
    monkeypatch.setattr(known_sat, "least_violation", lambda network, spec: least)
    for name in ("n.onnx", "s.vnnlib"):
        (tmp_path / name).write_bytes(b"")
    assert known_sat.holds_by_far(known_sat.Instance("a", "n.onnx", "s.vnnlib", 1.0, "sat")) is far


def test_nothing_to_do_without_the_lists(monkeypatch, tmp_path):
    monkeypatch.setattr(known_sat, "LIST", tmp_path / "instances.csv")
    assert known_sat.missing() and known_sat.full() == 0


@pytest.mark.skipif(bool(known_sat.missing()), reason="no ../shared/bench next to the repository")
def test_the_list_holds_many_violated_instances():
    found = known_sat.instances()
    assert len(found) > 200 and {entry.expected for entry in found} == {"sat"}
    assert not {entry.set for entry in found} & set(known_sat.REFUSED)
