"""Rows for the tests."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.rows import SCHEMA, Row, header_line, line_of

BASE = Row(SCHEMA, "c0ffee", "cpu, fast", 2, "3.11", "2.13", "", "s", "a.onnx", "p.vnnlib", "", 10.0, "unsat", "", 1.0,
           0.5, None, None, None, 3, float("-inf"), 20.5, 0)


def row(**changes) -> Row:
    return replace(BASE, **changes)


def write(path, *rows: Row):
    path.write_text(header_line() + "".join(map(line_of, rows)))
    return path
