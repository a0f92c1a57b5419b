from __future__ import annotations

import subprocess

import pytest

from benchmarks.machine import Machine, commit, cpu_name, usable_cores
from verify.errors import InvalidInput


def git(root, *arguments):
    subprocess.run(["git", "-C", root, "-c", "user.name=n", "-c", "user.email=e@x", *arguments], check=True,
                   capture_output=True)


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "verify").mkdir()
    (tmp_path / "verify" / "a.py").write_text("1\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "x")
    return tmp_path


def test_commit_of_a_clean_checkout(checkout):
    head = commit(checkout)
    assert len(head) == 12 and int(head, 16) >= 0
    (checkout / "notes.md").write_text("not measured")
    assert commit(checkout) == head


def test_every_change_of_a_source_is_another_dirty_mark(checkout):
    head = commit(checkout)
    (checkout / "verify" / "a.py").write_text("2\n")
    first = commit(checkout)
    (checkout / "verify" / "new.py").write_text("3\n")
    second = commit(checkout)
    assert first.startswith(f"{head}-dirty.") and second.startswith(f"{head}-dirty.")
    assert len({head, first, second}) == 3 and commit(checkout) == second


def test_a_folder_that_git_does_not_know(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(InvalidInput, match="git cannot tell"):
        commit(tmp_path)


def test_cpu_name(tmp_path):
    info = tmp_path / "cpuinfo"
    info.write_text("processor : 0\nmodel name\t: Some CPU: 3 GHz\nmodel name : other\n")
    assert cpu_name(info) == "Some CPU: 3 GHz"
    assert cpu_name(tmp_path / "missing")


def test_this_machine():
    machine = Machine.this()
    assert machine.cores == usable_cores() >= 1
    assert machine.python.startswith("3.") and machine.torch[0].isdigit()
