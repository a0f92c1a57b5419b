"""Runs the jobs of a study in processes of one thread each; a study that was interrupted goes on where it ended.

A job is a picklable function of one frozen settings value that returns a JSON list of rows. Its rows lie in
FOLDER/rows/NAME.json with the settings that made them and the commit; other settings under the same name are refused,
so that a folder holds one study.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training.files import write_json
from verify.errors import InvalidInput

Row = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """`work(settings)` gives the rows of job `name`."""

    name: str
    work: Callable[[Any], list[Row]]
    settings: Any

    @property
    def description(self) -> dict[str, Any]:
        """The settings as JSON gives them back."""
        return json.loads(json.dumps(asdict(self.settings), default=str))


def stored(folder: Path, job: Job) -> list[Row] | None:
    """The rows of a finished job, None where there are none. Raises `InvalidInput` if other settings made them."""
    path = _place(folder, job)
    if not path.exists():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    if found["settings"] != job.description:
        changed = sorted(key for key in {*found["settings"], *job.description}
                         if found["settings"].get(key) != job.description.get(key))
        raise InvalidInput(f"{path} was made with other settings ({', '.join(changed)}); choose another folder")
    return found["rows"]


def run(jobs: Iterable[Job], folder: Path, commit: str, workers: int = 1,
        tell: Callable[[str], None] = lambda line: None) -> list[Row]:
    """The rows of all jobs, in their order; finished ones are read, the others run in `workers` processes."""
    jobs = list(jobs)
    rows = {job.name: found for job in jobs if (found := stored(folder, job)) is not None}
    missing = [job for job in jobs if job.name not in rows]
    tell(f"{len(rows)} of {len(jobs)} jobs are there")
    # Fresh processes: a fork would inherit the thread pools of this one.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_one_thread) as pool:
        waiting = {pool.submit(_timed, job): job for job in missing}
        for done in as_completed(waiting):
            job = waiting[done]
            if done.exception() is not None:
                pool.shutdown(cancel_futures=True)  # nobody would keep what the others find
            found, seconds = done.result()
            write_json(_place(folder, job), {"settings": job.description, "commit": commit, "seconds": seconds,
                                             "rows": found})
            rows[job.name] = found
            tell(f"{job.name}: {seconds:.0f} s, {len(rows)} of {len(jobs)}")
    return [row for job in jobs for row in rows[job.name]]


def _place(folder: Path, job: Job) -> Path:
    return folder / "rows" / f"{job.name}.json"


def _one_thread() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    torch.set_num_threads(1)


def _timed(job: Job) -> tuple[list[Row], float]:
    start = time.monotonic()
    return job.work(job.settings), time.monotonic() - start
