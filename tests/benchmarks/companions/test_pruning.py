"""The pruning study on a toy: stages, rows of a chain, report."""

from __future__ import annotations

from benchmarks.companions import pruning
from tests.benchmarks.companions.setups import small


def test_a_chain_gives_a_row_per_ratio_and_the_report_its_pairs(tmp_path):
    setup = small(tmp_path)
    first, second = pruning.stages([setup], (0.5,))
    assert len(second) == 2 * (len(pruning.WEIGHTS) + len(pruning.CHANNELS))
    wanted = {"random-0", "magnitude-0", "magnitude-nrs-0"}
    rows = [row for job in first + [job for job in second if job.name in wanted] for row in job.work(job.settings)]
    found = {(row["method"], row["nrs"], row["asked"]) for row in rows}
    assert found == {("dense", False, 1.0), ("dense", True, 1.0), ("more epochs", False, 1.0),
                     ("RS regulariser", False, 1.0), ("IBP training", False, 1.0), ("random", False, 0.5),
                     ("magnitude", False, 0.5), ("magnitude", True, 0.5)}
    pruned = next(row for row in rows if row["method"] == "magnitude")
    assert abs(pruned["remaining"] - 0.5) < 0.01 and pruned["whole"] > pruned["remaining"]
    text = pruning.report(rows)
    assert "| magnitude | 0.5 | random |" in text and "| magnitude + NRS | 0.5 | without NRS |" in text
    pruning.figures(rows, tmp_path)
