from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks.process import VERIFY, run_process
from benchmarks.startup import NETWORK, SPEC, main, narrow

FAKE = (sys.executable, "-S", str(Path(__file__).with_name("fake_verify.py")))


@pytest.fixture(autouse=True)
def _commit(monkeypatch):
    monkeypatch.setattr("benchmarks.startup.commit", lambda: "c0ffee")


def test_narrow_keeps_the_centre_and_everything_else():
    text = "(assert (<= X_0 3.0))\n(assert (>= X_0 1.0))\n(assert (>= Y_0 Y_1))\n"
    assert narrow(text, 0.5) == "(assert (<= X_0 2.500000000))\n(assert (>= X_0 1.500000000))\n(assert (>= Y_0 Y_1))\n"


def test_the_narrow_property_is_settled_by_crown(tmp_path):
    spec, result = tmp_path / "narrow.vnnlib", tmp_path / "r.json"
    spec.write_text(narrow(SPEC.read_text()))
    done = run_process((*VERIFY, "run", str(NETWORK), str(spec), "--threads", "1", "--json", str(result)), 60)
    assert done.exit_code == 0, done.stderr
    assert json.loads(result.read_text())["method"] == "crown"


def test_table(capsys):
    assert main(["--runs", "2"], FAKE) == 0
    first, _, version, run = capsys.readouterr().out.splitlines()
    assert first.startswith("c0ffee | ") and version.startswith("verify --version ") and run.startswith("verify run")
    for line in (version, run):
        least, median, most = map(float, line.split()[-6:-3])
        assert 0 <= least <= median <= most


def test_a_command_that_fails_is_not_timed(capsys):
    failing = (sys.executable, "-S", "-c", "import sys; sys.exit('error: broken')")
    assert main([], failing) == 2
    assert "verify --version ended with exit code 1: broken" in capsys.readouterr().err


def test_no_runs(capsys):
    assert main(["--runs", "0"], FAKE) == 2
    assert "--runs takes a number from 1" in capsys.readouterr().err
