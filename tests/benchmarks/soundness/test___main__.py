"""The command: arguments, exit codes, the files it leaves."""

import json

import pytest

from benchmarks.soundness import __main__ as command
from benchmarks.soundness.experiment import Experiment
from benchmarks.soundness.tally import Recorder, Tally


def _run(cases: range, seed: int) -> Tally:
    record = Recorder()
    record.tried(len(cases))
    if 3 in cases:
        record.wrong(3, "three")
    return record.result()


@pytest.fixture
def small(monkeypatch):
    def with_cases(full: int) -> None:
        monkeypatch.setattr(command, "load", lambda names: (Experiment("small", "counts", _run, lambda: full, 2),))
        monkeypatch.setattr(command, "commit", lambda: "abc")

    return with_cases


def test_nothing_wrong_is_0_and_something_wrong_is_1(small, tmp_path, capsys):
    out = tmp_path / "report.md"
    small(3)
    assert command.main(["--full", "--out", str(out), "--seed", "4"]) == 0
    assert "3 tried, 0 wrong" in capsys.readouterr().out
    page = json.loads(out.with_suffix(".json").read_text())
    assert page["seed"] == 4 and page["experiments"][0]["tried"] == 3 and "# Soundness" in out.read_text()
    small(6)  # goes on with the journal
    assert command.main(["--full", "--out", str(out), "--seed", "4"]) == 1
    assert (tmp_path / "report-wrong" / "small-3" / "what.txt").read_text() == "three\n"


@pytest.mark.parametrize("arguments, message", [
    (["--only", "magic"], "no experiment magic"), (["--jobs", "0"], "--jobs"), (["--seconds", "0"], "--seconds"),
    (["--only", "bounds", "--case", "-1"], "--case"), (["--out", "/nowhere/at/all/report.md"], "no folder"),
])
def test_bad_arguments_end_with_2(arguments, message, small, capsys):
    small(1)
    assert command.main(arguments) == 2
    assert message in capsys.readouterr().err


def test_one_case(small, capsys):
    small(1)
    assert command.main(["--only", "bounds", "--case", "2"]) == 0
    assert command.main(["--only", "bounds", "--case", "3"]) == 1
    assert json.loads(capsys.readouterr().out.partition("}\n")[2])["wrong"] == [{"case": 3, "what": "three"}]


def test_sources_that_change_are_a_failure(small, tmp_path, monkeypatch):
    small(1)
    commits = iter(("abc", "abd"))
    monkeypatch.setattr(command, "commit", lambda: next(commits))
    assert command.main(["--full", "--out", str(tmp_path / "r.md")]) == 3
    assert "sources changed" in (tmp_path / "r.md").read_text()
