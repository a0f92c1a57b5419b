"""Tallies add up, survive JSON, and a recorder fills them."""

from benchmarks.soundness.tally import Finding, Recorder, Tally


def recorded() -> Tally:
    record = Recorder()
    record.tried(3)
    record.count("sat", 2)
    record.skipped("no counterexample")
    record.note("a sentence")
    record.note("a sentence")
    record.wrong(7, "unsat, but violated", network__onnx=b"\x00", spec__vnnlib="(assert)")
    return record.result()


def test_a_recorder_collects():
    tally = recorded()
    assert (tally.tried, tally.skipped, tally.notes) == (3, 1, ("a sentence",))
    assert tally.counts == {"sat": 2, "skipped: no counterexample": 1}
    assert tally.wrong[0].files == {"network.onnx": b"\x00", "spec.vnnlib": b"(assert)"}


def test_tallies_add_up():
    both = recorded() + recorded() + Tally(counts={"unsat": 1}, notes=("another",))
    assert (both.tried, both.skipped, len(both.wrong)) == (6, 2, 2)
    assert both.counts == {"sat": 4, "skipped: no counterexample": 2, "unsat": 1}
    assert both.notes == ("a sentence", "another")


def test_json_keeps_everything_but_the_files():
    tally = recorded()
    back = Tally.from_json(tally.as_json())
    assert back.wrong == (Finding(7, "unsat, but violated"),)
    assert (back.tried, back.skipped, back.counts, back.notes) == (3, 1, tally.counts, tally.notes)
