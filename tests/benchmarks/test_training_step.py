from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest

from benchmarks import training_step
from benchmarks.training_step import MISSING, Task, grown, installed, main, measure, ours, theirs

SMALL = ["--networks", "mlp-1x8", "--shape", "1,4,4", "--batch", "4", "--turns", "2"]


def task(recipe: str) -> Task:
    return Task("mlp-1x8", recipe, (1, 4, 4), 4, "cpu")


@pytest.mark.parametrize("recipe", ["ibp", "crown-ibp"])
def test_our_step_descends(recipe):
    step = ours(task(recipe))
    losses = [step() for _ in range(20)]
    assert losses[-1] < losses[0]


def test_without_the_other_side_ours_is_measured(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(training_step, "installed", lambda: False)
    monkeypatch.setattr(training_step, "commit", lambda: "none")
    monkeypatch.setattr(training_step, "memory_of", lambda *_: 1.5)
    assert main([*SMALL, "--out", str(tmp_path / "rows.csv")]) == 0
    shown = capsys.readouterr()
    assert MISSING in shown.err and "mlp-1x8" in shown.out and "nan" in shown.out
    rows = list(csv.DictReader((tmp_path / "rows.csv").open()))
    assert [row["recipe"] for row in rows] == ["ibp", "crown-ibp"]
    assert float(rows[0]["ours_ms"]) > 0 and math.isnan(float(rows[0]["ratio"])) and rows[0]["our_memory"] == "1.5"


def test_both_sides_start_with_the_same_loss(monkeypatch):
    if not installed():
        pytest.skip("auto_LiRPA is not installed")
    monkeypatch.setattr(training_step, "memory_of", lambda *_: 1.5)
    for recipe in ("ibp", "crown-ibp"):
        row = measure(task(recipe), 2, True)
        assert row.our_loss == pytest.approx(row.their_loss, rel=1e-4) and row.ratio > 0
        assert math.isfinite(theirs(task(recipe))())


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")
def test_memory_is_what_steps_add():
    assert 0 <= grown(task("ibp"), "ours") < 200


def test_memory_of_a_side_that_fails_is_unknown(monkeypatch):
    monkeypatch.setattr(training_step.sys, "executable", "false")
    assert math.isnan(training_step.memory_of(task("ibp"), "ours"))


@pytest.mark.parametrize(("arguments", "message"), [
    (["--recipes", "pgd-at"], "--recipes takes ibp, crown-ibp"), (["--shape", "a"], "--shape takes"),
    (["--networks", "magic"], "unknown architecture 'magic'"),
])
def test_bad_input(capsys, arguments, message):
    assert main([*SMALL, *arguments]) == 2
    assert message in capsys.readouterr().err
