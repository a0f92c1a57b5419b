"""The command line of a study: stages in order, files, one line for bad input."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.companions import study
from benchmarks.companions.jobs import Job
from verify.errors import InvalidInput


@dataclass(frozen=True)
class Settings:
    seed: int


def work(settings: Settings) -> list[dict]:
    return [{"method": "m", "seed": settings.seed}]


def stages(setups) -> list[list[Job]]:
    return [[Job(f"m-{setup.seed}", work, Settings(setup.seed))] for setup in setups]


def run(tmp_path, report, *more: str) -> int:
    return study.main("s", "a study", stages, report, lambda rows, folder: None,
                      ["--data", "digits", "--out", str(tmp_path), *more])


def test_rows_of_all_stages_make_the_report(tmp_path, capsys):
    assert run(tmp_path, lambda rows: f"{len(rows)} rows\n", "--seeds", "3,4") == 0
    assert (tmp_path / "report.md").read_text() == "2 rows\n"
    assert (tmp_path / "rows.csv").read_text() == "method,seed\nm,3\nm,4\n"
    assert "report.md" in capsys.readouterr().out


def test_bad_input_is_one_line(tmp_path, capsys):
    def refuse(rows):
        raise InvalidInput("no such thing")

    assert run(tmp_path, refuse, "--seeds", "0") == 2
    assert capsys.readouterr().err.splitlines()[-1] == "error: no such thing"
