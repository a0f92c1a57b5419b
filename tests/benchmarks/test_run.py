from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.rows import header_line, read_rows
from benchmarks.run import main, run_instance

FAKE = (sys.executable, "-S", str(Path(__file__).with_name("fake_verify.py")))
WORDS = ("unsat", "sat", "unknown", "late")


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Runs the program on a list of four instances; returns its exit code."""
    monkeypatch.setattr("benchmarks.run.commit", lambda: "c0ffee")
    (tmp_path / "a.onnx").write_text("")
    for word in WORDS:
        (tmp_path / f"{word}.vnnlib").write_text(word)
    (tmp_path / "list.csv").write_text("set,onnx,vnnlib,timeout,expected\n" + "".join(
        f"{'x' if k < 2 else 'y'},a.onnx,{word}.vnnlib,20,\n" for k, word in enumerate(WORDS)))

    def run(*arguments):
        return main([str(tmp_path / "list.csv"), "--base", str(tmp_path), *map(str, arguments)], FAKE)

    return run


def test_rows_and_table(bench, tmp_path, capsys):
    assert bench("--out", tmp_path / "r.csv", "--cap", "5") == 0
    rows = read_rows(tmp_path / "r.csv")
    assert [row.verdict for row in rows] == ["unsat", "sat", "unknown", "timed-out"]
    assert {row.limit_s for row in rows} == {5.0} and {row.commit for row in rows} == {"c0ffee"}
    out, err = capsys.readouterr()
    assert [line.split()[:7] for line in out.splitlines()[1:]] == [
        ["x", "2", "2", "0", "0", "0", "0"], ["y", "2", "0", "1", "1", "0", "0"], ["all", "4", "2", "1", "1", "0", "0"]]
    assert err == ""


def test_without_a_file_the_rows_are_the_standard_output(bench, tmp_path, capsys):
    assert bench("--sets", "x", "--every", "2") == 0
    out, err = capsys.readouterr()
    (tmp_path / "r.csv").write_text(out)
    assert [row.vnnlib for row in read_rows(tmp_path / "r.csv")] == ["unsat.vnnlib"]
    assert err.splitlines()[1].split()[:3] == ["x", "1", "1"]


def test_a_contradiction_is_reported_and_is_the_exit_code(bench, tmp_path, capsys):
    (tmp_path / "list.csv").write_text("onnx,vnnlib,timeout,expected\na.onnx,unsat.vnnlib,5,sat\n")
    assert bench("--out", tmp_path / "r.csv") == 1
    assert "contradiction: unsat, expected sat: a.onnx unsat.vnnlib" in capsys.readouterr().out


def test_resume_runs_what_is_missing(bench, tmp_path, capsys):
    out = tmp_path / "r.csv"
    assert bench("--out", out) == 0
    lines = out.read_text().splitlines(keepends=True)
    # The second row was cut off in the middle.
    out.write_text("".join(lines[:2]) + lines[2][:40])
    (tmp_path / "unsat.vnnlib").write_text("refused")
    assert bench("--out", out, "--resume") == 0
    assert [row.verdict for row in read_rows(out)] == ["unsat", "sat", "unknown", "timed-out"]
    assert out.read_text().startswith("".join(lines[:2]))
    before = out.read_text()
    assert bench("--out", out, "--resume") == 0
    assert out.read_text() == before
    assert capsys.readouterr().out.splitlines()[-1].split()[:3] == ["all", "4", "2"]


def test_resume_begins_a_file_that_is_not_there_or_empty(bench, tmp_path):
    for name in ("new.csv", "empty.csv"):
        (tmp_path / "empty.csv").write_text("")
        assert bench("--sets", "x", "--every", 2, "--out", tmp_path / name, "--resume") == 0
        assert len(read_rows(tmp_path / name)) == 1


def test_a_measurement_is_never_overwritten(bench, tmp_path, capsys):
    (tmp_path / "r.csv").write_text("precious")
    assert bench("--out", tmp_path / "r.csv") == 2
    assert "exists; --resume goes on" in capsys.readouterr().err
    assert (tmp_path / "r.csv").read_text() == "precious"


@pytest.mark.parametrize("arguments, message", [
    (("--cap", "5"), "ran with 20 s, not 5 s"),
    (("--", "--seed", "1"), "is another run"),
])
def test_resume_refuses_another_run(bench, tmp_path, capsys, arguments, message):
    assert bench("--sets", "x", "--out", tmp_path / "r.csv") == 0
    before = (tmp_path / "r.csv").read_text()
    assert bench("--out", tmp_path / "r.csv", "--resume", *arguments) == 2
    assert message in capsys.readouterr().err and (tmp_path / "r.csv").read_text() == before


def test_resume_refuses_another_schema(bench, tmp_path, capsys):
    assert bench("--sets", "x", "--out", tmp_path / "r.csv") == 0
    old = (tmp_path / "r.csv").read_text()
    (tmp_path / "r.csv").write_text(old.replace("\n1,", "\n0,"))
    assert bench("--out", tmp_path / "r.csv", "--resume") == 2
    assert "has schema 0" in capsys.readouterr().err


def test_sources_that_change_end_the_run(bench, tmp_path, capsys, monkeypatch):
    answers = iter(["c0ffee", "c0ffee", "changed"])
    monkeypatch.setattr("benchmarks.run.commit", lambda: next(answers))
    assert bench("--out", tmp_path / "r.csv") == 2
    assert "the sources changed during the run (they were c0ffee)" in capsys.readouterr().err
    assert len(read_rows(tmp_path / "r.csv")) == 1


def test_an_interruption_keeps_the_rows(bench, tmp_path, capsys, monkeypatch):
    def interrupted(instance, *rest):
        if instance.vnnlib == "sat.vnnlib":
            raise KeyboardInterrupt
        return run_instance(instance, *rest)

    monkeypatch.setattr("benchmarks.run.run_instance", interrupted)
    assert bench("--out", tmp_path / "r.csv") == 130
    assert "interrupted; --resume goes on" in capsys.readouterr().err
    assert [row.verdict for row in read_rows(tmp_path / "r.csv")] == ["unsat"]


@pytest.mark.parametrize("arguments, message", [
    (("--resume",), "--resume needs --out"),
    (("--cap", "0"), "--cap takes seconds above 0"),
    (("--cap", "nan"), "--cap takes seconds above 0"),
    (("--every", "0"), "--every a number from 1"),
    (("--sets", "z"), "no set z"),
    (("--", "--timeout=3"), "set by the benchmark itself"),
    (("--out", "/nonexistent/folder/r.csv"), "cannot write /nonexistent/folder/r.csv"),
])
def test_bad_arguments(bench, capsys, arguments, message):
    assert bench(*arguments) == 2
    out, err = capsys.readouterr()
    assert message in err and err.startswith("error: ") and out.replace(header_line(), "") == ""
