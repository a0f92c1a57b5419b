"""Counts and times per set: solved, unknown, timed out, errors, contradictions, median and PAR-2.

    PAR-2 = mean over instances of (wall seconds if solved, else twice the limit)

The median is over solved instances. Both include the start of the process.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.rows import OUTCOMES, Row

_HEADS = ("set", "n", "solved", "unknown", "timed out", "errors", "contradictions", "median s", "PAR-2 s")


@dataclass(frozen=True)
class Summary:
    """One line of the table; `median_s` is None when nothing was solved."""

    name: str
    counts: tuple[int, ...]
    median_s: float | None
    par2_s: float

    @property
    def instances(self) -> int:
        return sum(self.counts)


def summarise(rows: Sequence[Row]) -> tuple[Summary, ...]:
    """One summary per set, in order of appearance, and one of all when there is more than one set."""
    sets = tuple(dict.fromkeys(row.set for row in rows))
    parts = [_summary(name, [row for row in rows if row.set == name]) for name in sets]
    return (*parts, _summary("all", rows)) if len(sets) > 1 else tuple(parts)


def par2(row: Row) -> float:
    """Wall seconds of a solved instance, twice the limit of any other."""
    return row.wall_s if row.outcome == "solved" else 2 * row.limit_s


def table(summaries: Sequence[Summary]) -> str:
    """Aligned text, one line per summary."""
    body = [(s.name, str(s.instances), *map(str, s.counts), "-" if s.median_s is None else f"{s.median_s:.2f}",
             f"{s.par2_s:.2f}") for s in summaries]
    return aligned([_HEADS, *body])


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Columns of equal width: the first to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) if not k else cell.rjust(width)
                               for k, (cell, width) in enumerate(zip(line, widths, strict=True))) for line in lines)


def _summary(name: str, rows: Sequence[Row]) -> Summary:
    counts = Counter(row.outcome for row in rows)
    times = [row.wall_s for row in rows if row.outcome == "solved"]
    return Summary(name, tuple(counts[outcome] for outcome in OUTCOMES), statistics.median(times) if times else None,
                   statistics.mean(par2(row) for row in rows))
