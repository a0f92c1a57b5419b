"""The driver: shares of time, full series, resuming, wrong cases on disk, failures that are not results."""

from concurrent.futures import Executor, Future

import pytest

from benchmarks.soundness.driver import Plan, run_all, store_findings
from benchmarks.soundness.experiment import Experiment
from benchmarks.soundness.journal import Identity, Journal
from benchmarks.soundness.tally import Finding, Recorder, Tally


class Inline(Executor):
    """Runs at once, in this process."""

    def submit(self, work, /, *args):
        future: Future = Future()
        try:
            future.set_result(work(*args))
        except (ValueError, RuntimeError) as error:
            future.set_exception(error)
        return future


def counting(name: str, full: int, chunk: int, **rest) -> Experiment:
    def run(cases: range, seed: int) -> Tally:
        record = Recorder()
        record.tried(len(cases))
        for k in cases:
            if k == 7:
                record.wrong(k, "seven", case__txt=str(seed))
        return record.result()

    return Experiment(name, "counts", run, lambda: full, chunk, **rest)


def fresh() -> Journal:
    return Journal(Identity(5, "c"))


def go(experiments, journal, seconds=None, store=None):
    said = []
    failures = run_all(experiments, Plan(5, seconds, 1, store), journal, said.append, lambda jobs: Inline())
    return failures, said


def test_full_series_are_done_exactly(tmp_path):
    journal = fresh()
    failures, said = go([counting("a", 10, 4), counting("b: x", 3, 2)], journal, store=tmp_path)
    assert not failures
    assert [(u.first, u.count) for u in journal.of("a")] == [(0, 4), (4, 4), (8, 2)]
    assert sum(u.tally.tried for u in journal.of("b: x")) == 3
    assert (tmp_path / "a-7" / "case.txt").read_text() == "5"
    assert any("WRONG case 7: seven" in line for line in said)


def test_a_run_goes_on_where_it_was():
    journal = fresh()
    go([counting("a", 6, 4)], journal)
    go([counting("a", 10, 4)], journal)
    assert [(u.first, u.count) for u in journal.units] == [(0, 4), (4, 2), (6, 4)]


def test_time_is_shared_and_finite_series_end(monkeypatch):
    journal, clock = fresh(), iter(range(100_000))
    monkeypatch.setattr("benchmarks.soundness.driver.time.monotonic", lambda: float(next(clock)))
    go([counting("endless", 2, 1), counting("finite", 3, 1, endless=False)], journal, seconds=60.0)
    assert len(journal.of("finite")) == 3 and len(journal.of("endless")) > 3


def test_missing_experiments_are_left_out():
    journal = fresh()
    go([counting("a", 3, 1, missing=lambda: "no data")], journal)
    assert not journal.units


def test_a_failure_is_reported_and_is_no_result():
    def broken(cases: range, seed: int) -> Tally:
        raise ValueError("the laboratory is on fire")

    journal = fresh()
    failures, said = go([Experiment("a", "", broken, lambda: 5, 2), counting("b", 2, 1)], journal)
    assert failures == {"a": ["cases 0 to 1: ValueError: the laboratory is on fire"]}
    assert not journal.of("a") and len(journal.of("b")) == 2 and any("FAILED" in line for line in said)


@pytest.mark.parametrize("folder", [None, "store"])
def test_findings_are_stored_where_asked(folder, tmp_path):
    finding = Finding(3, "wrong", {"network.onnx": b"\x01"})
    store_findings(folder and tmp_path / folder, "enclosure: bounds", [finding])
    stored = tmp_path / "store" / "enclosure-bounds-3"
    assert stored.exists() == (folder is not None)
    if folder:
        assert (stored / "network.onnx").read_bytes() == b"\x01" and (stored / "what.txt").read_text() == "wrong\n"
