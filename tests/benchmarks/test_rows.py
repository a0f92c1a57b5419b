from __future__ import annotations

import pytest

from benchmarks.rows import FIELDS, OUTCOMES, header_line, line_of, read_rows
from tests.benchmarks.make import row, write
from verify.errors import InvalidInput


def test_what_is_written_is_read(tmp_path):
    rows = (row(), row(vnnlib="q", reason='a "quoted", thing', wall_s=0.1 + 0.2, domains=None, attack_s=1e-9))
    assert read_rows(write(tmp_path / "r.csv", *rows)) == rows


def test_a_row_is_one_line():
    assert line_of(row(reason="two\nlines\r\n")).count("\n") == 1
    assert len(header_line().split(",")) == len(FIELDS)


@pytest.mark.parametrize("changes, outcome", [
    ({}, "solved"),
    ({"expected": "unsat"}, "solved"),
    ({"expected": "sat"}, "contradiction"),
    ({"expected": "sat", "wall_s": 99.0}, "contradiction"),
    ({"verdict": "sat", "expected": "unsat"}, "contradiction"),
    ({"wall_s": 11.0}, "solved"),
    ({"wall_s": 11.1}, "timed-out"),
    ({"verdict": "unknown", "expected": "sat"}, "unknown"),
    ({"verdict": "timed-out"}, "timed-out"),
    ({"verdict": "error"}, "error"),
])
def test_outcome(changes, outcome):
    assert row(**changes).outcome == outcome
    assert outcome in OUTCOMES


@pytest.mark.parametrize("text, message", [
    ("", "is not a file of"),
    ("onnx,vnnlib\n", "is not a file of"),
    (header_line().replace("wall_s", "seconds"), "its columns are not those"),
    (header_line() + line_of(row(schema=2)), "has schema 2; this program knows schema 1"),
    (header_line() + "1,c0ffee\n", "line 2: 2 columns instead of"),
    (header_line() + line_of(row()).replace(",10.0,", ",ten,"), "line 2: could not convert"),
    (header_line() + line_of(row(verdict="proved")), "line 2: verdict 'proved'"),
    (header_line() + line_of(row()) * 2, "line 3: a second row"),
    (header_line() + line_of(row()) + line_of(row(vnnlib="q", commit="other")), "holds rows of 2 runs"),
])
def test_files_that_are_refused(tmp_path, text, message):
    path = tmp_path / "r.csv"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=message):
        read_rows(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InvalidInput, match="cannot read"):
        read_rows(tmp_path / "none.csv")


def test_a_file_without_rows_is_an_empty_run(tmp_path):
    assert read_rows(write(tmp_path / "r.csv")) == ()
