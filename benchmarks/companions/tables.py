"""Tables of a study: means over seeds with their intervals, and paired comparisons on the same images.

A row is one network on the test images: the method's name, its seed, shares in [0, 1], and per image whether it was
right, robust and certified, as strings of 0 and 1 (`flags`).
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from training.statistics import mcnemar, mean_interval

Row = Mapping[str, Any]
SHARES = ("clean", "pgd", "crown", "verified", "unstable")


def grouped(rows: Iterable[Row], keys: Sequence[str]) -> dict[tuple, list[Row]]:
    """Rows by the values of `keys`, in the order of their first appearance."""
    found: dict[tuple, list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row[key] for key in keys), []).append(row)
    return found


def percent(values: Sequence[float]) -> str:
    """Mean over seeds, and half the width of its 95 % interval (Student's t), in per cent; a dash for no values."""
    values = [value for value in values if value is not None]
    if not values:
        return "-"
    mean = mean_interval(values)
    half = (mean.high - mean.low) / 2
    return f"{100 * mean.value:.1f}" + (f" ± {100 * half:.1f}" if math.isfinite(half) else "")


def summary(rows: Iterable[Row], keys: Sequence[str], columns: Sequence[str] = SHARES) -> str:
    """A markdown table: one line per value of `keys`, `percent` of every column over the seeds."""
    lines = [[*keys, "seeds", *columns]]
    for values, members in grouped(rows, keys).items():
        lines.append([*map(_text, values), str(len(members)),
                      *(percent([row.get(column) for row in members]) for column in columns)])
    return markdown(lines)


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A table whose first line is its head."""
    head, *body = lines
    return "\n".join([_line(head), _line(["---"] * len(head)), *map(_line, body)])


def paired(ours: Iterable[Row], theirs: Iterable[Row], flag: str) -> tuple[int, int, float]:
    """Images, over all seeds, that only `ours` has, that only `theirs` has, and McNemar's exact p.

    Rows are matched by seed: both networks of a seed saw the same images."""
    others = {row["seed"]: row["flags"][flag] for row in theirs}
    wins = losses = 0
    for row in ours:
        for mine, other in zip(row["flags"][flag], others[row["seed"]], strict=True):
            wins += mine > other
            losses += mine < other
    return wins, losses, mcnemar(wins, losses)


def bits(flags: Iterable[bool]) -> str:
    """Per-image booleans as they are kept in rows."""
    return "".join("01"[bool(flag)] for flag in flags)


def as_csv(rows: Sequence[Row]) -> str:
    """All rows, without the per-image flags."""
    names = list(dict.fromkeys(name for row in rows for name in row if name != "flags"))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
