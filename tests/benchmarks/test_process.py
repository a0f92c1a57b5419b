from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from benchmarks.process import ROOT, VERIFY, run_process


def python(code: str, kill_after: float = 60):
    return run_process((sys.executable, "-S", "-c", code), kill_after)


def test_streams_and_exit_code():
    done = python("import sys; print('out'); print('first\\nerror: last', file=sys.stderr); sys.exit(7)")
    assert (done.exit_code, done.stdout, done.last_error_line, done.killed) == (7, "out\n", "last", False)
    assert done.wall_s > 0 and python("").last_error_line == ""


def test_a_signal_is_a_negative_exit_code():
    done = python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert done.exit_code == -9 and not done.killed


def test_a_process_that_does_not_end_is_ended():
    done = python("import time; time.sleep(60)", kill_after=0.1)
    assert done.killed and done.exit_code == -15


def test_a_process_that_ignores_the_first_signal_is_ended(monkeypatch):
    monkeypatch.setattr("benchmarks.process._MERCY", 0.1)
    # Inherited by the process, so that it ignores the signal from its first moment.
    previous = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        done = python("import time; time.sleep(60)", kill_after=0.1)
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert done.killed and done.exit_code == -9


def test_memory_of_a_child_of_the_process_is_seen():
    code = "import os\nif os.fork() == 0:\n    x = b'x' * (300 << 20)\n    os._exit(0)\nos.wait()"
    assert 300 < python(code).peak_mib < 300 + 4096


def test_the_checkout_is_measured_not_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "verify").mkdir()
    (tmp_path / "verify" / "__init__.py").write_text("raise SystemExit('the wrong one')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    code = VERIFY[-1].partition(";")[0] + "; import verify; print(verify.__file__)"
    done = run_process((*VERIFY[:-1], code), 60)
    assert done.exit_code == 0, done.stderr
    assert Path(done.stdout.strip()).samefile(ROOT / "verify" / "__init__.py")
    assert os.environ["PYTHONPATH"] == str(tmp_path)
