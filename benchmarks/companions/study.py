"""The command line that both studies share: seeds, folder, processes, report."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.companions.jobs import Job, Row, run
from benchmarks.companions.tables import as_csv
from training.export import commit
from training.files import write_text
from verify.errors import VerifyError

Stages = Callable[[Sequence[Any]], list[list[Job]]]


def main(name: str, description: str, stages: Stages, report: Callable[[list[Row]], str],
         figures: Callable[[list[Row], Path], None], arguments: Sequence[str] | None = None) -> int:
    """Runs the `stages` of jobs that setups of all seeds give, one stage after the other, and writes the report.

    Returns the exit code; bad input ends with one line on standard error."""
    from benchmarks.companions.networks import Setup

    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.companions.{name}", description=description)
    parser.add_argument("--data", required=True, help="images with labels, any source that `verify train` reads")
    parser.add_argument("--out", required=True, type=Path, help="folder of the study; an interrupted one goes on")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--jobs", type=int, default=1, help="processes, one thread each")
    given = parser.parse_args(arguments)
    setups = [Setup(given.data, given.out / "work", seed=int(seed)) for seed in given.seeds.split(",")]
    rows: list[Row] = []
    try:
        for jobs in stages(setups):
            rows += run(jobs, given.out, commit() or "unknown", given.jobs, _tell)
        write_text(given.out / "rows.csv", as_csv(rows))
        write_text(given.out / "report.md", report(rows))
        figures(rows, given.out)
    except VerifyError as error:
        _tell(f"error: {error}")
        return error.exit_code
    print(f"{len(rows)} networks: {given.out / 'report.md'}")
    return 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
