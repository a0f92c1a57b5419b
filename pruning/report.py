"""The schedule on paper: what every round kept, what validation images said, and whether the result is a ticket."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path

from pruning.plan import Plan
from pruning.prune import Pruned
from pruning.tickets import Judgement
from training.figures import Track, draw_schedule, missing
from training.files import write_text

COLUMNS = ("round", "remaining", "whole", "parameters", "clean", "pgd", "verified", "unstable", "difference", "sha256",
           "selected")


def rows(pruned: Pruned) -> list[dict[str, object]]:
    """One flat dictionary per round; shares lie in [0, 1]."""
    return [{"round": made.index, "remaining": made.remaining, "whole": made.whole, "parameters": made.parameters,
             **{name: value for name, value in dataclasses.asdict(made.check).items() if name in COLUMNS},
             "difference": made.difference, "sha256": made.files["model.onnx"],
             "selected": made.index == pruned.selected} for made in pruned.rounds]


def as_csv(pruned: Pruned) -> str:
    """One line per round."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows(pruned))
    return text.getvalue()


def markdown(pruned: Pruned, plan: Plan, notes: Sequence[str], ticket: Judgement | None) -> str:
    """For people."""
    check = pruned.dense.check
    units = "channels" if plan.structured else "weights"
    head = ["round", f"{units} remaining", "of all parameters", "parameters in the file", "clean %", "PGD %",
            "CROWN-verified %", "unstable %", "largest difference"]
    lines = [head, ["---"] * len(head)]
    for made in pruned.rounds:
        shares = [f"{100 * value:.1f}" for value in (made.check.clean, made.check.pgd, made.check.verified,
                                                     made.check.unstable)]
        mark = " (selected)" if made.index == pruned.selected else ""
        lines.append([f"{made.index}{mark}", f"{made.remaining:.4g}", f"{made.whole:.4g}", f"{made.parameters:,}",
                      *shares, f"{made.difference:.1e}"])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    parts = [f"# Pruning by {plan.criterion}", "\n".join(f"- {note}" for note in notes), "## Rounds",
             f"Validation images: {check.images} for clean accuracy, {check.checked} for PGD, CROWN and unstable "
             "neurons. These numbers chose the round and are no claims; those on unseen images are in report.md.",
             table,
             "Differences are between the masked network, the smaller one, and the exported files."]
    if ticket is not None:
        parts += ["## Certified lottery ticket", "\n".join(ticket.lines()),
                  "The criterion: on unseen images neither accuracy is lower than the dense network's. "
                  "`pruning.tickets` judges several seeds together."]
    return "\n\n".join(parts) + "\n"


def write_rounds(pruned: Pruned, plan: Plan, folder: Path, notes: Sequence[str] = (), ticket: Judgement | None = None
                 ) -> list[Path]:
    """Writes rounds.md, rounds.csv, and rounds.png and .svg where matplotlib is installed; returns them."""
    texts = {"rounds.md": markdown(pruned, plan, notes, ticket), "rounds.csv": as_csv(pruned)}
    for name, text in texts.items():
        write_text(folder / name, text)
    written = [folder / name for name in texts]
    if missing() is None:
        track = Track(*(tuple(float(row[name]) for row in rows(pruned)) for name in ("remaining", "clean", "verified")))
        written += draw_schedule({plan.criterion: [track]}, folder / "rounds", "validation images, CROWN-verified")
    return written
