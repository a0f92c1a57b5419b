"""The one report of a run: markdown for people, JSON for programs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.machine import Machine
from benchmarks.soundness.experiment import Experiment
from benchmarks.soundness.journal import Journal
from benchmarks.soundness.tally import Tally


def document(experiments: Sequence[Experiment], journal: Journal, failures: Mapping[str, list[str]], command: str,
             machine: Machine) -> dict[str, Any]:
    """Everything that the report says, as JSON values."""
    entries = []
    for experiment in experiments:
        units = journal.of(experiment.name)
        tally = sum((unit.tally for unit in units), Tally())
        entries.append({
            "name": experiment.name, "claim": experiment.claim, "cases": sum(unit.count for unit in units),
            "full": experiment.full(), "seconds": round(sum(unit.seconds for unit in units), 1),
            "missing": experiment.missing(), "failures": failures.get(experiment.name, []), **tally.as_json(),
        })
    return {
        "seed": journal.identity.seed, "commit": journal.identity.commit, "command": command,
        "machine": dataclasses.asdict(machine), "tried": sum(entry["tried"] for entry in entries),
        "wrong": sum(len(entry["wrong"]) for entry in entries),
        "seconds": round(sum(entry["seconds"] for entry in entries), 1), "experiments": entries,
    }


def markdown(found: Mapping[str, Any]) -> str:
    """The document as a page."""
    machine = found["machine"]
    lines = [
        "# Soundness laboratory", "",
        f"**{found['tried']:,} tried, {found['wrong']} wrong**, in {found['seconds']:,} seconds of work.",
        "", f"Commit {found['commit']}, seed {found['seed']}; {machine['cpu']}, python {machine['python']}, torch "
        f"{machine['torch']}. Command: `{found['command']}`. Every experiment tried the first cases of its series; a "
        "case again: `--only MODULE --case NUMBER`.", "",
        "| experiment | what must never fail | cases | tried | wrong | skipped | seconds | tried per second |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for entry in found["experiments"]:
        rate = f"{entry['tried'] / entry['seconds']:.1f}" if entry["seconds"] else ""
        lines.append(f"| {entry['name']} | {entry['claim']} | {entry['cases']:,} | {entry['tried']:,} | "
                     f"{len(entry['wrong'])} | {entry['skipped']} | {entry['seconds']:,} | {rate} |")
    for entry in found["experiments"]:
        lines += ["", f"## {entry['name']}", ""]
        lines += [f"Not run: {entry['missing']}.", ""] if entry["missing"] else []
        lines += [f"- FAILED (no result, not counted): {failure}" for failure in entry["failures"]]
        lines += [f"- WRONG, case {wrong['case']}: {wrong['what']}" for wrong in entry["wrong"]]
        lines += [f"- {note}" for note in entry["notes"]]
        if entry["counts"]:
            lines.append("- " + ", ".join(f"{name}: {number:,}" for name, number in entry["counts"].items()))
    return "\n".join(lines) + "\n"
