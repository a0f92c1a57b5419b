"""The rows of a measurement: their schema, reading and writing, and what a row counts as.

One row is one process on one instance; one file is one run (one commit, one machine, one set of options). Raise
`SCHEMA` with every change of the columns or their meaning: files of different schemas are never mixed.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from verify.errors import InvalidInput

SCHEMA = 1
DECIDED = ("sat", "unsat")
VERDICTS = (*DECIDED, "unknown", "timed-out", "error")
LATE = 1.0  # seconds over its limit after which a verdict no longer counts: the start and the exit of a process


@dataclass(frozen=True)
class Row:
    """One process on one instance. `*_s` in seconds, memory in MiB; None: the process did not tell."""

    schema: int
    commit: str
    cpu: str
    cores: int
    python: str
    torch: str
    options: str
    set: str
    onnx: str
    vnnlib: str
    expected: str
    limit_s: float
    verdict: str
    reason: str
    wall_s: float
    load_s: float | None
    attack_s: float | None
    root_bounds_s: float | None
    search_s: float | None
    domains: int | None
    best_bound: float | None
    peak_mib: float | None
    exit_code: int

    @property
    def key(self) -> tuple[str, str, str]:
        """Which instance."""
        return self.set, self.onnx, self.vnnlib

    @property
    def run(self) -> tuple[str, ...]:
        """Which run: all rows of a file agree in it."""
        return self.commit, self.options, *self.machine

    @property
    def machine(self) -> tuple[str, ...]:
        return self.cpu, str(self.cores), self.python, self.torch

    @property
    def outcome(self) -> str:
        """solved, unknown, timed-out, error or contradiction (to the expected verdict; even when it came late)."""
        if self.verdict not in DECIDED:
            return self.verdict
        if self.expected and self.expected != self.verdict:
            return "contradiction"
        return "timed-out" if self.wall_s > self.limit_s + LATE else "solved"


OUTCOMES = ("solved", "unknown", "timed-out", "error", "contradiction")
FIELDS = tuple(entry.name for entry in dataclasses.fields(Row))


def _optional(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: parse(text) if text else None


_PARSE = MappingProxyType({
    "str": str, "int": int, "float": float, "float | None": _optional(float), "int | None": _optional(int),
})
_PARSERS = tuple(_PARSE[entry.type] for entry in dataclasses.fields(Row))


def header_line() -> str:
    return _line(FIELDS)


def line_of(row: Row) -> str:
    """The row as one line of the file; numbers are written with all their digits."""
    values = (getattr(row, name) for name in FIELDS)
    return _line("" if value is None else " ".join(value.split()) if isinstance(value, str) else repr(value)
                 for value in values)


def read_rows(path: Path) -> tuple[Row, ...]:
    """The rows of one run.

    Raises InvalidInput: not readable, another schema, a damaged row, an instance that is there twice, rows of more
    than one run.
    """
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            table = list(csv.reader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"cannot read {path}: {error}") from error
    _check_schema(path, table)
    rows: dict[tuple[str, str, str], Row] = {}
    for number, cells in enumerate(table[1:], 2):
        row = _parse(cells, f"{path} line {number}")
        if row.key in rows:
            raise InvalidInput(f"{path} line {number}: a second row of {row.vnnlib} on {row.onnx}")
        rows[row.key] = row
    runs = {row.run for row in rows.values()}
    if len(runs) > 1:
        raise InvalidInput(f"{path} holds rows of {len(runs)} runs (commit, options or machine differ); "
                           "one file holds one run")
    return tuple(rows.values())


def _check_schema(path: Path, table: list[list[str]]) -> None:
    if not table or not table[0] or table[0][0] != "schema":
        raise InvalidInput(f"{path} is not a file of `python -m benchmarks.run`: its first column is not `schema`")
    schemas = {cells[0] for cells in table[1:] if cells}
    if schemas - {str(SCHEMA)}:
        raise InvalidInput(f"{path} has schema {', '.join(sorted(schemas))}; this program knows schema {SCHEMA}")
    if tuple(table[0]) != FIELDS:
        raise InvalidInput(f"{path}: its columns are not those of schema {SCHEMA}")


def _parse(cells: list[str], where: str) -> Row:
    if len(cells) != len(FIELDS):
        raise InvalidInput(f"{where}: {len(cells)} columns instead of {len(FIELDS)}; the row is damaged")
    try:
        row = Row(*(parse(text) for parse, text in zip(_PARSERS, cells, strict=True)))
    except ValueError as error:
        raise InvalidInput(f"{where}: {error}") from error
    if row.verdict not in VERDICTS:
        raise InvalidInput(f"{where}: verdict {row.verdict!r}; known are {', '.join(VERDICTS)}")
    return row


def _line(cells: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
