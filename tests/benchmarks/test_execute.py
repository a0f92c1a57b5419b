from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.execute import Setting, run_instance
from benchmarks.instances import Instance
from benchmarks.machine import Machine
from benchmarks.process import ROOT

FAKE = (sys.executable, "-S", str(Path(__file__).with_name("fake_verify.py")))
SETTING = Setting("c0ffee", Machine("cpu", 2, "3.11", "2.13"), ("--seed", "a b"))


def run(folder, word, expected=""):
    (folder / "a.onnx").write_text("")
    (folder / "p.vnnlib").write_text(word)
    return run_instance(Instance("s", "a.onnx", "p.vnnlib", 5.0, expected), 5.0, folder, SETTING, FAKE)


def test_a_row_says_everything(tmp_path):
    row = run(tmp_path, "unsat", "unsat")
    assert row.key == ("s", "a.onnx", "p.vnnlib") and row.run == SETTING.run
    assert (row.verdict, row.reason, row.outcome, row.exit_code) == ("unsat", "", "solved", 0)
    assert (row.load_s, row.attack_s, row.root_bounds_s, row.search_s) == (0.25, 0.5, 0.75, None)
    assert (row.domains, row.best_bound, row.limit_s, row.options) == (7, 0.5, 5.0, "--seed 'a b'")
    assert row.wall_s > 0 and row.peak_mib > 1


@pytest.mark.parametrize("word, verdict, reason, exit_code", [
    ("sat", "sat", "", 1),
    ("unknown", "unknown", "incomplete: too\ndeep", 3),
    ("late", "timed-out", "", 4),
    ("refused", "error", "operator Foo is not supported", 5),
    ("killed", "error", "no verdict on standard output, exit code -9", -9),
    ("sat-nowitness", "error", "said sat, but wrote no witness", 1),
    ("sat-exit", "error", "said sat with exit code 0: ", 0),
    ("sat-json", "error", "said sat, but its JSON says unsat", 1),
    ("unknown-crash", "error", "said unknown with exit code 70: internal error: crashed", 70),
])
def test_verdicts(tmp_path, word, verdict, reason, exit_code):
    row = run(tmp_path, word)
    assert (row.verdict, row.reason, row.exit_code) == (verdict, reason, exit_code)


def test_a_process_that_does_not_end(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.execute.GRACE", -4.9)
    row = run(tmp_path, "hang")
    assert row.verdict == "error" and "ended from outside" in row.reason and row.load_s is None


def test_the_real_command():
    instance = Instance("s", "examples/digits_mlp.onnx", "examples/digits_mlp_violated.vnnlib", 50.0, "sat")
    row = run_instance(instance, 50.0, ROOT, Setting("c0ffee", Machine.this(), ("--threads", "1")))
    assert (row.outcome, row.verdict, row.exit_code) == ("solved", "sat", 1), row.reason
    assert row.load_s > 0 and row.attack_s is not None
