"""Runs experiments in units of work, on several processes, until their cases or the time are done.

The next unit belongs to the experiment that has had the least time (with a time limit), or to the one with the largest
share still to do (a full run). A unit that raises or kills its process is a failure of the laboratory: it is reported,
and tried again by the next run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from benchmarks.soundness.experiment import Experiment
from benchmarks.soundness.journal import Journal, Unit
from benchmarks.soundness.tally import Finding, Tally

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """`seconds`: time for everything, None for full series; `jobs`: processes; `store`: folder of wrong cases."""

    seed: int
    seconds: float | None
    jobs: int = 1
    store: Path | None = None


@dataclass
class Progress:
    """One experiment in a run: the next case that nobody has taken, and the seconds spent and under way."""

    experiment: Experiment
    next: int
    seconds: float
    full: int
    under_way: int = 0
    failures: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, experiment: Experiment, journal: Journal) -> Progress:
        units = journal.of(experiment.name)
        end = max((unit.first + unit.count for unit in units), default=0)
        return cls(experiment, end, sum(unit.seconds for unit in units), experiment.full())

    def left(self, timed: bool) -> bool:
        return not self.failures and (self.next < self.full or (timed and self.experiment.endless))

    def urgency(self, timed: bool) -> float:
        """The least goes first. Units under way count as a few seconds, so that they spread over experiments."""
        return self.seconds + 5 * self.under_way if timed else self.next / max(self.full, 1)

    def take(self, timed: bool) -> range:
        end = self.next + self.experiment.chunk
        if not (timed and self.experiment.endless):
            end = min(end, self.full)
        cases = range(self.next, end)
        self.next, self.under_way = end, self.under_way + 1
        return cases


def timed_run(run: Callable[[range, int], Tally], cases: range, seed: int) -> tuple[float, Tally]:
    """In a worker process: the tally of a unit and the seconds it took."""
    start = time.monotonic()
    tally = run(cases, seed)
    return time.monotonic() - start, tally


def _single_threaded() -> None:
    """Workers share the cores already."""
    import torch

    torch.set_num_threads(1)


def pool(jobs: int) -> ProcessPoolExecutor:
    """Fresh processes (nothing is inherited), renewed now and then so that no leak can build up."""
    return ProcessPoolExecutor(jobs, get_context("spawn"), _single_threaded, max_tasks_per_child=100)


def run_all(experiments: Sequence[Experiment], plan: Plan, journal: Journal, say: Say,
            start_pool: Callable[[int], Executor] = pool) -> dict[str, list[str]]:
    """Adds units to the journal until done; returns the failures by experiment. Experiments that are missing something
    are left out."""
    timed = plan.seconds is not None
    deadline = time.monotonic() + plan.seconds if timed else math.inf
    states = [Progress.of(e, journal) for e in experiments if not e.missing()]
    under_way: dict[Future, tuple[Progress, range]] = {}
    workers = start_pool(plan.jobs)
    try:
        while True:
            while len(under_way) < plan.jobs and time.monotonic() < deadline:
                open_ = [state for state in states if state.left(timed)]
                if not open_:
                    break
                state = min(open_, key=lambda one: one.urgency(timed))
                cases = state.take(timed)
                try:
                    future = workers.submit(timed_run, state.experiment.run, cases, plan.seed)
                except BrokenProcessPool:
                    workers = start_pool(plan.jobs)
                    future = workers.submit(timed_run, state.experiment.run, cases, plan.seed)
                under_way[future] = state, cases
            if not under_way:
                return {state.experiment.name: state.failures for state in states if state.failures}
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                _settle(future, *under_way.pop(future), plan, journal, say)
    finally:
        workers.shutdown(wait=False, cancel_futures=True)


def _settle(future: Future, state: Progress, cases: range, plan: Plan, journal: Journal, say: Say) -> None:
    """Books one finished unit."""
    state.under_way -= 1
    name = state.experiment.name
    error = future.exception()
    if error is not None:
        state.failures.append(f"cases {cases.start} to {cases.stop - 1}: {type(error).__name__}: {error}")
        say(f"{name}: FAILED {state.failures[-1]}")
        return
    seconds, tally = future.result()
    state.seconds += seconds
    store_findings(plan.store, name, tally.wrong)
    journal.add(Unit(name, cases.start, len(cases), seconds, tally))
    units = journal.of(name)
    wrong = sum(len(unit.tally.wrong) for unit in units)
    say(f"{name}: {sum(unit.tally.tried for unit in units)} tried, {wrong} wrong ({seconds:.1f} s for {len(cases)})")
    for finding in tally.wrong:
        say(f"{name}: WRONG case {finding.case}: {finding.what}")


def store_findings(folder: Path | None, experiment: str, findings: Sequence[Finding]) -> None:
    """Writes the files of wrong cases, and a line about each, under `folder`/experiment-case."""
    for finding in findings if folder is not None else ():
        target = folder / f"{experiment.replace(': ', '-').replace(' ', '-')}-{finding.case}"
        target.mkdir(parents=True, exist_ok=True)
        (target / "what.txt").write_text(finding.what + "\n", encoding="utf-8")
        for name, data in finding.files.items():
            (target / name).write_bytes(data)
