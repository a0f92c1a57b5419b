"""What an experiment is, and the list of all of them.

An experiment is a numbered series of cases: case k of seed s is the same on every machine, so a report is reproduced by
its seed and its counts, and a wrong case by its number alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from benchmarks.soundness.tally import Tally

MODULES = ("random_networks", "curved_networks", "operators", "operator_uses", "operator_networks", "curves",
           "relaxations", "bounds", "metamorphic", "faults", "proofs", "executions", "known_sat", "neighbours",
           "hidden", "float_attacks")
"""One file each; all of them define `EXPERIMENT`."""


def nothing() -> str:
    """Nothing is missing."""
    return ""


@dataclass(frozen=True)
class Experiment:
    """`claim`: what must never fail, in one sentence. `run(cases, seed)` tries the cases of a range and never raises
    because of what the verifier does. `full()`: the cases of a full run; `endless` series go on after them while there
    is time. `chunk`: cases per unit of work, some seconds. `missing()`: why it cannot run here, empty if it can."""

    name: str
    claim: str
    run: Callable[[range, int], Tally]
    full: Callable[[], int]
    chunk: int
    endless: bool = True
    missing: Callable[[], str] = nothing


def load(names: tuple[str, ...] = MODULES) -> tuple[Experiment, ...]:
    """The experiments by the names of their modules."""
    return tuple(import_module(f"benchmarks.soundness.{name}").EXPERIMENT for name in names)
