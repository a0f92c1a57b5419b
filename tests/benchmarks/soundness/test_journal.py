"""Journals go on where they were, drop half lines, and refuse the work of another run."""

import pytest

from benchmarks.soundness.journal import Identity, Journal, Unit
from benchmarks.soundness.tally import Finding, Tally
from verify.errors import InvalidInput

HERE = Identity(3, "abc")
UNIT = Unit("random networks", 0, 10, 1.5, Tally(10, (Finding(4, "wrong"),), 1, {"sat": 2}, ("note",)))


def test_units_come_back(tmp_path):
    path = tmp_path / "run.journal"
    journal = Journal(HERE, path)
    journal.add(UNIT)
    journal.add(Unit("faults", 0, 5, 0.5, Tally(5)))
    back = Journal(HERE, path)
    assert back.units == journal.units and back.of("faults")[0].count == 5


def test_half_a_line_is_dropped(tmp_path):
    path = tmp_path / "run.journal"
    Journal(HERE, path).add(UNIT)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"experiment": "fau')
    assert Journal(HERE, path).units == [UNIT]
    assert path.read_bytes() == whole


@pytest.mark.parametrize("other", [Identity(4, "abc"), Identity(3, "abd")])
def test_another_run_is_refused(other, tmp_path):
    path = tmp_path / "run.journal"
    Journal(HERE, path)
    with pytest.raises(InvalidInput, match="belongs to seed 3 and commit abc"):
        Journal(other, path)


@pytest.mark.parametrize("text", ["", "nothing\n", "[1]\n", '{"seed": 3}\n'])
def test_other_files_are_refused(text, tmp_path):
    path = tmp_path / "run.journal"
    path.write_text(text)
    with pytest.raises(InvalidInput, match="not the journal"):
        Journal(HERE, path)


def test_without_a_path_nothing_is_written():
    journal = Journal(HERE)
    journal.add(UNIT)
    assert journal.of("random networks") == [UNIT]
