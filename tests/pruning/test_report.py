"""The schedule on paper: tables by hand."""

from __future__ import annotations

import csv
import io

from pruning.measure import Check
from pruning.plan import Plan
from pruning.prune import Pruned
from pruning.report import as_csv, markdown, write_rounds
from pruning.rounds import Round
from pruning.tickets import Gain, Judgement


def pruned() -> Pruned:
    rounds = tuple(Round(k, 0.5**k, 0.75**k, 100 - 40 * k, Check(50, 0.9, 20, 0.8, 0.3 + 0.2 * k, 0.25), 1e-6,
                         {"model.onnx": f"sha{k}"}, None) for k in range(2))
    return Pruned(rounds, 1, "", None)


def test_csv():
    lines = list(csv.DictReader(io.StringIO(as_csv(pruned()))))
    assert [line["round"] for line in lines] == ["0", "1"] and lines[1]["selected"] == "True"
    assert (lines[1]["remaining"], lines[1]["verified"], lines[1]["sha256"]) == ("0.5", "0.5", "sha1")


def test_markdown():
    text = markdown(pruned(), Plan(structured=True, criterion="nrs"), ["a note"], None)
    assert "| 1 (selected) | 0.5 | 0.75 | 60 | 90.0 | 80.0 | 50.0 | 25.0 | 1.0e-06 |" in text
    assert "channels remaining" in text and "- a note" in text and "ticket" not in text
    gain = Gain("clean", 0.9, 0.9, -0.1, 0.1, (1.0,), 1.0)
    assert "certified lottery ticket" in markdown(pruned(), Plan(), [], Judgement(10, 1, gain, gain))


def test_files(tmp_path):
    names = {path.name for path in write_rounds(pruned(), Plan(), tmp_path)}
    assert {"rounds.md", "rounds.csv"} <= names == {path.name for path in tmp_path.iterdir()}
