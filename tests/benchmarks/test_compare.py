from __future__ import annotations

import importlib.util
import math

import pytest

from benchmarks.compare import compare, main, pair, quartiles
from tests.benchmarks.make import row, write

A = (row(vnnlib="1", wall_s=1.0), row(vnnlib="2", wall_s=2.0), row(vnnlib="3", wall_s=4.0), row(vnnlib="4"),
     row(vnnlib="5", verdict="timed-out"), row(vnnlib="only a"), row(vnnlib="6", verdict="unknown"))
B = tuple(row(commit="beef", **changes) for changes in (
    {"vnnlib": "3", "wall_s": 4.0}, {"vnnlib": "2", "wall_s": 8.0}, {"vnnlib": "1", "wall_s": 2.0},
    {"vnnlib": "4", "verdict": "error"}, {"vnnlib": "5", "verdict": "sat"}, {"vnnlib": "6", "verdict": "timed-out"}))


def test_counts_and_ratios_by_hand():
    found = compare("s", pair(A, B))
    assert (found.pairs, found.only_a, found.only_b, found.ratios) == (6, 1, 1, (2.0, 4.0, 1.0))
    assert found.cells() == ("s", "6", "4", "4", "1", "1", "3", "2.000", "1.500", "2.000", "3.000")


def test_nothing_solved_by_both():
    assert compare("s", pair(A[4:5], B[4:5])).cells()[-4:] == ("-",) * 4


def test_times_below_the_resolution_give_finite_ratios():
    (ratio,) = compare("s", [(row(wall_s=0.0), row(wall_s=0.0))]).ratios
    assert ratio == 1.0 and math.isfinite(ratio)


def test_quartiles():
    assert quartiles([3.0]) == (3.0, 3.0, 3.0)
    assert quartiles([1.0, 2.0, 3.0, 4.0, 5.0]) == (2.0, 3.0, 4.0)


def test_the_report(tmp_path, capsys):
    assert main([str(write(tmp_path / "a.csv", *A)), str(write(tmp_path / "b.csv", *B))]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("A: c0ffee") and lines[1].startswith("B: beef")
    assert lines[2] == "warning: 1 instances only in A are left out"
    assert lines[-2:] == ["only A: unsat a.onnx 4 (the other: error)", "only B: sat a.onnx 5 (the other: timed-out)"]


def test_sets_apart_and_together(tmp_path, capsys):
    path = write(tmp_path / "a.csv", row(set="x"), row(set="y", wall_s=2.0))
    assert main([str(path), str(path)]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[2:]] == ["set", "x", "y", "all"]


def test_runs_that_contradict_each_other(tmp_path, capsys):
    a, b = write(tmp_path / "a.csv", row()), write(tmp_path / "b.csv", row(verdict="sat", limit_s=5.0, cpu="other"))
    assert main([str(a), str(b)]) == 1
    out = capsys.readouterr().out
    assert "contradiction: A unsat, B sat: a.onnx p.vnnlib" in out
    assert "warning: different machines" in out and "warning: 1 pairs had different time limits" in out


@pytest.mark.parametrize("other, message", [
    (row(schema=2), "has schema 2; this program knows schema 1"),
    (row(vnnlib="another"), "have no instance in common"),
])
def test_refused(tmp_path, capsys, other, message):
    assert main([str(write(tmp_path / "a.csv", row())), str(write(tmp_path / "b.csv", other))]) == 2
    assert message in capsys.readouterr().err


def test_empty_runs_have_nothing_in_common(tmp_path, capsys):
    path = str(write(tmp_path / "a.csv"))
    assert main([path, path]) == 2
    assert "have no instance in common" in capsys.readouterr().err


def test_plot(tmp_path, capsys):
    path, plot = str(write(tmp_path / "a.csv", *A)), tmp_path / "cactus.png"
    code = main([path, path, "--plot", str(plot)])
    out, err = capsys.readouterr()
    assert out.startswith("A: ")
    if importlib.util.find_spec("matplotlib"):
        assert code == 0 and plot.read_bytes().startswith(b"\x89PNG")
    else:
        assert code == 2 and "needs matplotlib" in err and not plot.exists()
