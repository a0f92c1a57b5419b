"""The grafting study on a toy: stages, rows before and after fine-tuning, report."""

from __future__ import annotations

from benchmarks.companions import grafting
from tests.benchmarks.companions.setups import small


def test_rows_before_and_after_fine_tuning(tmp_path):
    first, second = grafting.stages([small(tmp_path)], (0.5,))
    assert [job.name for job in second] == [f"{score}-0" for score in grafting.SCORES]
    wanted = [job for job in second if job.name in ("random-0", "low-magnitude-0")]
    rows = [row for job in first + wanted for row in job.work(job.settings)]
    assert [row["method"] for row in rows[:5]] == ["dense", "more epochs", "RS regulariser", "IBP training",
                                                   "fine-tuning alone"]
    assert [(row["method"], row["tuned"]) for row in rows[5:]] == [
        (score, tuned) for score in ("random", "low-magnitude") for tuned in (0, grafting.EPOCHS)]
    assert "verified" in rows[6] and "verified" not in rows[5]
    assert "| low-magnitude | 0.5 | 3 | random |" in grafting.report(rows)
    grafting.figures(rows, tmp_path)
