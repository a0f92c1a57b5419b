"""The report says how many were tried, how many were wrong, and how to do it again."""

import json

from benchmarks.machine import Machine
from benchmarks.soundness.experiment import Experiment
from benchmarks.soundness.journal import Identity, Journal, Unit
from benchmarks.soundness.report import document, markdown
from benchmarks.soundness.tally import Finding, Tally

MACHINE = Machine("a processor", 2, "3.11", "2.13")


def experiment(name: str, **rest) -> Experiment:
    return Experiment(name, f"{name} never fails", lambda cases, seed: Tally(), lambda: 100, 10, **rest)


def found():
    journal = Journal(Identity(9, "abc"))
    journal.add(Unit("one", 0, 10, 2.0, Tally(10, (), 1, {"sat": 4}, ("a note",))))
    journal.add(Unit("one", 10, 10, 3.0, Tally(1010, (Finding(12, "unsat, but violated"),), 0, {"sat": 1})))
    experiments = [experiment("one"), experiment("two", missing=lambda: "no data")]
    return document(experiments, journal, {"one": ["cases 20 to 29: ValueError: x"]}, "python -m x", MACHINE)


def test_numbers_add_up():
    page = found()
    assert (page["tried"], page["wrong"], page["seed"], page["commit"]) == (1020, 1, 9, "abc")
    one, two = page["experiments"]
    assert (one["tried"], one["cases"], one["seconds"], one["skipped"], one["counts"]) == (1020, 20, 5.0, 1, {"sat": 5})
    assert (two["tried"], two["missing"]) == (0, "no data")
    assert json.loads(json.dumps(page)) == page


def test_the_page_says_it():
    text = markdown(found())
    for part in ("**1,020 tried, 1 wrong**", "Commit abc, seed 9", "`python -m x`", "one never fails",
                 "WRONG, case 12: unsat, but violated", "Not run: no data.", "FAILED", "- a note", "sat: 5"):
        assert part in text
