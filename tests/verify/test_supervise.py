"""The watchdog: hanging, crashing, greedy and interrupted work; and that there is only ever one answer."""

from __future__ import annotations

import faulthandler
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from verify import supervise as module
from verify.errors import InvalidCertificate, InvalidInput, OutOfResources
from verify.supervise import TIMED_OUT, Outcome, guarded, resident_bytes, supervise

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


def hang() -> Outcome:
    while True:
        time.sleep(0.01)


def soon() -> float:
    return time.monotonic() + 0.1


def test_answer_is_handed_over():
    assert supervise(lambda: Outcome(0, "unsat", "fine")) == Outcome(0, "unsat", "fine")
    long = Outcome(3, "unknown", "x" * 300_000)
    assert supervise(lambda: long) == long


def test_hanging_work_is_stopped():
    assert supervise(hang, deadline=soon(), grace=0.05) == TIMED_OUT


@needs_fork
def test_work_that_ignores_signals_is_stopped():
    def stubborn() -> Outcome:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return hang()

    assert supervise(stubborn, deadline=soon(), grace=0.05) == TIMED_OUT


@needs_fork
def test_grandchildren_are_stopped_too(tmp_path):
    pid_file = tmp_path / "pid"

    def work() -> Outcome:
        grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        pid_file.write_text(str(grandchild.pid))
        return hang()

    assert supervise(work, deadline=time.monotonic() + 0.4, grace=0.1) == TIMED_OUT
    state = Path(f"/proc/{pid_file.read_text()}/stat")
    for _ in range(200):
        # Killed asynchronously; a zombie waiting for init to reap it counts as gone.
        if not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return
        time.sleep(0.01)
    raise AssertionError("the grandchild survived")


@needs_fork
@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, 6), (signal.SIGSEGV, 70), (signal.SIGABRT, 70)])
def test_a_killed_child_is_unknown(number, code):
    def die() -> Outcome:
        faulthandler.disable()  # pytest's would print a page
        os.kill(os.getpid(), number)
        return hang()

    outcome = supervise(die)
    assert (outcome.exit_code, outcome.line, outcome.finished) == (code, "unknown", False)
    assert outcome.message.startswith("error: ") and "\n" not in outcome.message


@needs_fork
@pytest.mark.parametrize("leave", [lambda: os._exit(0), lambda: sys.exit(0)])
def test_a_child_that_leaves_without_an_answer_is_no_verdict(leave):
    outcome = supervise(leave)
    assert (outcome.exit_code, outcome.line) == (70, "unknown")


def raising(error: Exception):
    def work() -> Outcome:
        raise error

    return work


@pytest.mark.parametrize(("error", "code", "line"), [
    (MemoryError(), 6, "unknown"),
    (OutOfResources("too many rows"), 6, "unknown"),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"), 6, "unknown"),
    (InvalidInput("bad\nfile"), 2, ""),
    (InvalidCertificate("a witness that does not replay"), 70, ""),
    (ZeroDivisionError("division by zero"), 70, ""),
])
def test_exceptions_are_never_verdicts(error, code, line):
    outcome = supervise(raising(error))
    assert (outcome.exit_code, outcome.line, outcome.finished) == (code, line, False)
    assert outcome.message.startswith("error: ") and "\n" not in outcome.message
    assert outcome == guarded(raising(error))


def test_traceback_only_when_asked():
    outcome = guarded(raising(ValueError("why")), verbose=True)
    assert outcome.message.startswith("Traceback") and outcome.message.splitlines()[-1].startswith("error: ")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the memory limit reads /proc")
def test_memory_limit_ends_greedy_work():
    limit = resident_bytes(os.getpid()) + (64 << 20)

    def greedy() -> Outcome:
        hoard = []
        while True:
            hoard.append(bytearray(os.urandom(1 << 20)))
            time.sleep(0.001)

    outcome = supervise(greedy, memory_limit=limit)
    assert (outcome.exit_code, outcome.line) == (6, "unknown")
    assert "--memory-limit" in outcome.message


def test_resident_bytes():
    assert resident_bytes(-1) == 0
    if sys.platform.startswith("linux"):
        assert 1 << 20 < resident_bytes(os.getpid()) < 1 << 40


def test_without_fork_a_thread_does_it():
    assert module._run_threaded(lambda: Outcome(0, "unsat"), math.inf, False) == Outcome(0, "unsat")
    assert module._run_threaded(raising(InvalidInput("no")), math.inf, False).exit_code == 2
    assert module._run_threaded(lambda: time.sleep(2), soon(), False) == TIMED_OUT


@needs_fork
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_parent_leaves_no_child(tmp_path, number):
    if number == signal.SIGKILL and not sys.platform.startswith("linux"):
        pytest.skip("only Linux tells a child that its parent was killed")
    pid_file = tmp_path / "pid"
    # Where the tests run in the background, Ctrl-C is ignored, and a child inherits that.
    script = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import os, sys, time; from pathlib import Path; from verify.supervise import supervise\n"
        f"def work():\n    Path({str(pid_file)!r} + 'x').write_text(str(os.getpid()))\n"
        f"    os.rename({str(pid_file)!r} + 'x', {str(pid_file)!r})\n    time.sleep(600)\n"
        "supervise(work)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    while not pid_file.exists():
        time.sleep(0.01)
    child = int(pid_file.read_text())
    parent.send_signal(number)
    assert parent.wait() != 0
    for _ in range(500):
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return
        time.sleep(0.01)
    raise AssertionError("the child survived its parent")
