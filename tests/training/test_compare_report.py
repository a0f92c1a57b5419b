"""The report says everything once, in every format, and is whole without matplotlib."""

import csv
import io
import json
import math

import pytest

from tests.training.evaluations import by_hand
from training import compare_report
from training.compare_report import as_csv, document, images_csv, markdown, number, percent, ranges, write_report


def test_numbers_and_ranges():
    assert percent(0.6, 0.5, 0.75) == "60.0 [50.0, 75.0]" and percent(0.25) == "25.0" and percent(math.nan) == "-"
    assert number(0.12345) == "0.123" and number(1234.5) == "1,234" and number(math.nan) == "-"
    assert ranges([5, 0, 1, 2, 7, 8]) == "0-2, 5, 7-8" and ranges([]) == ""


def test_the_report_has_a_row_for_every_control_and_says_what_was_measured_on():
    text = markdown(by_hand())
    assert "| rs | control | not measured | - |" in text
    assert "positions 0-4" in text and "radius 0.1" in text and "CROWN, float64" in text
    assert "| a | before | 80.0 [" in text and "| b | 3 | 1 | 0.62 | 1 | 0 | 1 |" in text
    assert "not about the networks that they were made from" in text
    widths = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    assert all(width >= 8 for width in widths)


def test_tables_for_machines():
    rows = list(csv.DictReader(io.StringIO(as_csv(by_hand()))))
    assert [row["name"] for row in rows] == ["a", "b", "rs"]
    assert rows[1]["verified"] == "0.6" and rows[2]["verified"] == "" and rows[2]["sha256"] == "not measured"
    assert len(images_csv(by_hand()).splitlines()) == 1 + 2 * 5
    found = json.loads(json.dumps(document(by_hand()), allow_nan=False))
    assert found["entries"][1]["evaluation"]["images"][0]["status"] == "undecided"
    assert found["entries"][2]["evaluation"] is None and found["rows"][0]["name"] == "a"


def test_all_files_are_written(tmp_path):
    pytest.importorskip("matplotlib")
    paths = write_report(by_hand(), tmp_path / "new" / "folder")
    assert {path.name for path in paths} == {"report.md", "report.csv", "images.csv", "report.json", "accuracy.png",
                                            "accuracy.svg", "unstable.png", "unstable.svg"}
    assert all(path.stat().st_size for path in paths)
    assert sorted(path.name for path in paths) == sorted(path.name for path in (tmp_path / "new" / "folder").iterdir())
    assert "![accuracy](accuracy.png)" in (tmp_path / "new" / "folder" / "report.md").read_text()


def test_without_matplotlib_everything_else_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(compare_report.figures, "missing", lambda: "No figures: matplotlib is not installed.")
    paths = write_report(by_hand(), tmp_path)
    assert {path.name for path in paths} == {"report.md", "report.csv", "images.csv", "report.json"}
    assert "No figures: matplotlib is not installed." in (tmp_path / "report.md").read_text()
