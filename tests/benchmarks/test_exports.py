"""The comparison of exports: a row per network, errors are counted."""

from __future__ import annotations

import csv

from benchmarks import exports
from verify.errors import InvalidInput


def read(path) -> list[dict]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_method_exports_what_it_made(tmp_path):
    assert exports.main(["--archs", "cnn-tiny", "--out", str(tmp_path / "rows.csv")]) == 0
    rows = read(tmp_path / "rows.csv")
    assert [row["method"] for row in rows] == list(exports.METHODS)
    assert all(float(row[name]) < 1e-4 for row in rows for name in row if name.startswith("output_"))
    assert int(rows[2]["relus"]) < int(rows[0]["relus"]) and int(rows[3]["lines"]) > 0
    assert {row["verdict"] for row in rows} <= {"verified", "falsified", "unknown"}


def test_a_failure_is_a_row_and_an_exit_code(tmp_path, monkeypatch):
    def refuse(*_):
        raise InvalidInput("cannot")

    monkeypatch.setattr(exports, "export_grafted", refuse)
    assert exports.main(["--archs", "mlp-1x4", "--methods", "dense", "--out", str(tmp_path / "rows.csv")]) == 1
    assert read(tmp_path / "rows.csv")[0]["error"] == "cannot"
