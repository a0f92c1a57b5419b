"""Jobs are run once, kept, and belong to their settings."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.companions.jobs import Job, run
from verify.errors import InvalidInput


@dataclass(frozen=True)
class Square:
    number: int
    trace: Path


def square(settings: Square) -> list[dict]:
    with settings.trace.open("a") as stream:
        stream.write(f"{settings.number}\n")
    return [{"number": settings.number, "square": settings.number**2, "threads": os.environ["OMP_NUM_THREADS"]}]


def jobs(trace: Path, numbers) -> list[Job]:
    return [Job(f"square-{number}", square, Square(number, trace)) for number in numbers]


def test_finished_jobs_are_not_run_again(tmp_path):
    trace, heard = tmp_path / "trace", []
    first = run(jobs(trace, (2,)), tmp_path / "study", "abc", tell=heard.append)
    both = run(jobs(trace, (3, 2)), tmp_path / "study", "abc", workers=2, tell=heard.append)
    assert [row["square"] for row in first] == [4] and [row["square"] for row in both] == [9, 4]
    assert {row["threads"] for row in both} == {"1"}
    assert trace.read_text().split() == ["2", "3"]
    assert "1 of 2 jobs are there" in heard


def test_rows_of_other_settings_are_refused(tmp_path):
    run(jobs(tmp_path / "trace", (2,)), tmp_path / "study", "abc")
    with pytest.raises(InvalidInput, match=r"square-2.json was made with other settings \(trace\)"):
        run(jobs(tmp_path / "other", (2,)), tmp_path / "study", "abc")


def fail(settings: Square) -> list[dict]:
    raise InvalidInput(f"{settings.number} is no good")


def test_a_failure_ends_the_study_and_keeps_what_was_finished(tmp_path):
    trace = tmp_path / "trace"
    bad = Job("bad", fail, Square(5, trace))
    with pytest.raises(InvalidInput, match="5 is no good"):
        run([*jobs(trace, (2,)), bad, *jobs(trace, range(10, 40))], tmp_path / "study", "abc")
    assert (tmp_path / "study" / "rows" / "square-2.json").exists()
    assert len(trace.read_text().split()) < 31
