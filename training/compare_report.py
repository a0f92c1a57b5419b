"""A comparison on paper: report.md for people, report.csv and images.csv for tables, report.json for everything.

All files are written whole or not at all.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training import figures
from training.compare import CONTROLS, Comparison, Entry
from training.files import write_json, write_text

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]
"""Headings and rows."""
NOTHING = "not measured"


def percent(share: float, low: float | None = None, high: float | None = None) -> str:
    """`61.0 [54.1, 67.5]`, in percent."""
    if math.isnan(share):
        return "-"
    interval = "" if low is None or high is None else f" [{100 * low:.1f}, {100 * high:.1f}]"
    return f"{100 * share:.1f}{interval}"


def number(value: float, digits: int = 3) -> str:
    return "-" if math.isnan(value) else f"{value:,.{digits}g}" if abs(value) < 1000 else f"{value:,.0f}"


def accuracy_table(comparison: Comparison) -> Table:
    """Clean, attacked, verified, with intervals; verified as a share of what withstands the attacks."""
    heads = ("network", "role", "clean %", "PGD %", "verified %", "falsified %", "undecided %", "CROWN %",
             "verified of PGD-robust %")
    rows = []
    for entry in comparison.entries:
        found = entry.evaluation
        if found is None:
            rows.append((entry.name, entry.role, NOTHING, *["-"] * 6))
            continue
        shares = [percent(found.share(what), *found.interval(what))
                  for what in ("clean", "robust", "verified", "falsified", "undecided", "crown")]
        rows.append((entry.name, entry.role, *shares, percent(*entry.verified_of_robust)))
    return heads, rows


def paired_table(comparison: Comparison) -> Table:
    """Image by image against the network before."""
    heads = ("network", "verified: wins", "losses", "p", "clean: wins", "losses", "p", "mean s before", "mean s here",
             "on images")
    rows = []
    for entry in comparison.entries[1:]:
        if entry.evaluation is None:
            rows.append((entry.name, NOTHING, *["-"] * 8))
            continue
        pairs = [comparison.paired(entry, what) for what in ("verified", "clean")]
        there, here, count = comparison.common_seconds(entry)
        rows.append((entry.name, *(text for pair in pairs for text in (str(pair.wins), str(pair.losses),
                                                                       f"{pair.p:.2g}")),
                     number(there), number(here), str(count)))
    return heads, rows


def cost_table(comparison: Comparison) -> Table:
    """What the verifier and the disk pay."""
    heads = ("network", "unstable", "area", "mean s", "median s", "PAR-2 s", "domains", "parameters", "ReLUs", "bytes",
             "sha256")
    rows = []
    for entry in comparison.entries:
        found = entry.evaluation
        if found is None:
            rows.append((entry.name, NOTHING, *["-"] * 9))
            continue
        mean, middle = entry.seconds
        rows.append((entry.name, number(found.unstable, 4), number(found.area), number(mean), number(middle),
                     number(found.par2), number(entry.domains, 4), f"{found.parameters:,}", f"{found.relus:,}",
                     f"{found.file_bytes:,}", found.sha256[:12]))
    return heads, rows


def layer_table(comparison: Comparison) -> Table:
    """ReLU layer by ReLU layer, in the order of the file."""
    heads = ("network", "layer", "node", "neurons", "unstable per image", "unstable %", "area per image")
    rows = [(entry.name, str(k), layer.name, str(layer.neurons), number(layer.unstable, 4),
             percent(layer.unstable / layer.neurons if layer.neurons else math.nan), number(layer.area))
            for entry in comparison.measured for k, layer in enumerate(entry.evaluation.layers, 1)]
    return heads, rows


def ranges(indices: Sequence[int]) -> str:
    """`0-99, 105, 110-112`: positions in ascending order, runs joined."""
    runs: list[list[int]] = []
    for index in sorted(indices):
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def conditions(comparison: Comparison) -> list[str]:
    """One line per condition of the measurement."""
    options, found = comparison.options, comparison.before.evaluation
    budget = ("no complete verification: verified means CROWN" if options.timeout is None else
              f"{options.timeout:g} s per image and network, method {options.method}, device {options.device}")
    return [
        f"data: {comparison.data}, {len(comparison.indices)} images of the test part, which no training or selection "
        f"may have seen; positions {ranges(comparison.indices)}; sha256 of images and labels {comparison.digest}",
        f"property: the class stays the same in the maximum-norm ball of radius {options.eps:g} "
        f"(pixels in [{options.clip[0]:g}, {options.clip[1]:g}])",
        f"attacks: {', '.join(found.attacks)}, seed {options.seed}, confirmed on onnxruntime",
        f"complete verification: {budget}",
        f"unstable neurons, relaxation area and the column CROWN: {found.bounds}, on correctly classified images",
    ]


DEFINITIONS = (
    "Certificates are about the files with the given sha256, not about the networks that they were made from.",
    "Brackets are 95 % Wilson intervals; p is McNemar's exact two-sided test against the first network.",
    "falsified: correct, but a counterexample is known (by attack or verifier); clean = verified + falsified + "
    "undecided.",
    "Unstable: pre-activation bounds l < 0 < u; area: sum of -l u / 2. Removed and grafted neurons that are still in "
    "the file count as neurons, and are stable. Means per image, of all layers.",
    "Seconds and domains are of complete verification, on the images that were correct and withstood the attacks; "
    "PAR-2 counts an undecided image twice the limit. The paired seconds are over images that were asked for both.",
)


def markdown(comparison: Comparison, pictures: Sequence[str] = ()) -> str:
    """The report for people."""
    first = comparison.before.name
    parts = [f"# {first} and {len(comparison.entries) - 1} others", "\n".join(f"- {line}" for line in conditions(
        comparison)), "## Accuracy", _markdown(accuracy_table(comparison)), f"## Against {first}, image by image",
        _markdown(paired_table(comparison)), "## Cost of verification and size", _markdown(cost_table(comparison)),
        "## ReLU layers", _markdown(layer_table(comparison)), "## Controls",
        "\n".join(f"- {name}: {what}" for name, what in CONTROLS.items())]
    parts += ["## Figures", "\n\n".join(f"![{Path(name).stem}]({name})" for name in pictures)] if pictures else []
    parts += ["## Definitions", "\n".join(f"- {line}" for line in (*DEFINITIONS, *comparison.notes))]
    files = "\n".join(f"- {entry.name} ({entry.role}): `{entry.file}`, sha256 `{entry.evaluation.sha256}`"
                      for entry in comparison.measured)
    return "\n\n".join([*parts, "## Files", files]) + "\n"


def _markdown(table: Table) -> str:
    heads, rows = table
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def as_csv(comparison: Comparison) -> str:
    """One line per network."""
    rows = [comparison.row(entry) for entry in comparison.entries]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows({key: "" if isinstance(value, float) and math.isnan(value) else value
                      for key, value in row.items()} for row in rows)
    return text.getvalue()


def images_csv(comparison: Comparison) -> str:
    """One line per network and image."""
    parts = [entry.evaluation.csv() for entry in comparison.measured]
    return parts[0] + "".join(part.split("\n", 1)[1] for part in parts[1:])


def document(comparison: Comparison) -> dict[str, Any]:
    """Everything, for JSON; what is no number is null."""
    return _plain({
        "data": comparison.data, "digest": comparison.digest, "indices": comparison.indices,
        "options": dataclasses.asdict(comparison.options), "notes": comparison.notes,
        "rows": [comparison.row(entry) for entry in comparison.entries],
        "entries": [_entry(entry) for entry in comparison.entries],
    })


def _entry(entry: Entry) -> dict[str, Any]:
    found = entry.evaluation
    return {"name": entry.name, "role": entry.role, "file": entry.file,
            "evaluation": None if found is None else found.as_dict()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_report(comparison: Comparison, folder: Path) -> list[Path]:
    """Writes all files and figures into `folder`; returns them. Without matplotlib the figures are left out, and the
    report says so."""
    pictures: list[Path] = []
    missing = figures.missing()
    if missing is None:
        pictures += figures.draw_accuracy(comparison.measured, folder / "accuracy")
        pictures += figures.draw_layers(comparison.measured, folder / "unstable")
    else:
        comparison = dataclasses.replace(comparison, notes=(*comparison.notes, missing))
    texts = {"report.md": markdown(comparison, [path.name for path in pictures if path.suffix == ".png"]),
             "report.csv": as_csv(comparison), "images.csv": images_csv(comparison)}
    for name, text in texts.items():
        write_text(folder / name, text)
    write_json(folder / "report.json", document(comparison))
    return [*(folder / name for name in texts), folder / "report.json", *pictures]
