"""Keeps one piece of work inside its time and memory, whatever it does.

The work stops itself at its deadline; this module is the last resort for the call that does not return. On POSIX the
work runs in a forked child (forked before anything heavy is imported, so a fork costs about a millisecond). The child
hands its `Outcome` through a pipe and the parent alone prints it: there can never be two verdicts. A child that is
alive `grace` seconds after the deadline, or larger than the memory limit, is killed with its process group; a child
that dies by itself becomes an `unknown` with the reason. Where there is no fork the work runs in a thread, with the
time limit but without the memory limit.

Memory is the resident size that the parent reads from /proc every 20 ms. The kernel's own limits were tried and
rejected: RLIMIT_AS counts reserved address space (`import torch` alone: 640 MB for 220 MB resident), and under
RLIMIT_DATA a failed allocation inside BLAS or a solver ends in a crash instead of an error.
"""

from __future__ import annotations

import json
import math
import os
import queue
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NoReturn

from verify.errors import OutOfResources, VerifyError

GRACE = 0.3
_POLL = 0.02


@dataclass(frozen=True)
class Outcome:
    """`line` for standard output (empty: none), `message` for standard error, and the exit code.

    `finished` is false when the work did not come to its own end (stopped, crashed, raised).
    """

    exit_code: int
    line: str = ""
    message: str = ""
    finished: bool = True


TIMED_OUT = Outcome(4, "timed-out", "stopped at the time limit from outside", finished=False)
Work = Callable[[], Outcome]


def supervise(work: Work, *, deadline: float = math.inf, memory_limit: int | None = None, grace: float = GRACE,
              verbose: bool = False) -> Outcome:
    """The outcome of `work`, at the latest `grace` seconds after `deadline` (on the `time.monotonic` clock).

    `memory_limit` in bytes. Exceptions of `work` become outcomes too (see `guarded`).
    """
    if hasattr(os, "fork"):
        return _run_forked(work, deadline + grace, memory_limit, verbose)
    return _run_threaded(work, deadline + grace, verbose)


def guarded(work: Work, verbose: bool = False) -> Outcome:
    """Runs `work`; an exception becomes an outcome with one clear line, never a verdict (and a traceback if asked)."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001 -- the process boundary: whatever is raised must not look like a verdict
        outcome = _from_error(error)
        return replace(outcome, message=traceback.format_exc() + outcome.message) if verbose else outcome


def _from_error(error: Exception) -> Outcome:
    text = " ".join(str(error).split())
    if isinstance(error, OutOfResources) or is_allocation_failure(error):
        return _unfinished(OutOfResources.exit_code, "unknown", f"out of memory: {text or 'allocation failed'}")
    if isinstance(error, VerifyError):
        # 0 and 1 are verdicts; an error must not borrow them.
        return _unfinished(error.exit_code if error.exit_code > 1 else 70, "", text)
    return _unfinished(70, "", f"internal error ({type(error).__name__}: {text}); -v shows where")


def _unfinished(exit_code: int, line: str, text: str) -> Outcome:
    return Outcome(exit_code, line, f"error: {text}", finished=False)


def is_allocation_failure(error: Exception) -> bool:
    """torch reports exhausted memory as a RuntimeError, on CUDA as its subclass OutOfMemoryError."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and (
        type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)
    ))


def _run_forked(work: Work, last_moment: float, memory_limit: int | None, verbose: bool) -> Outcome:
    read_end, write_end = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    parent, child = os.getpid(), os.fork()
    if child == 0:
        os.close(read_end)
        _be_child(work, write_end, parent, verbose)
    os.close(write_end)
    previous = _on_terminate()
    try:
        answer = _watch(child, read_end, last_moment, memory_limit)
    finally:
        status = _end(child)
        os.close(read_end)
        if previous is not None:
            signal.signal(signal.SIGTERM, previous)
    return answer if isinstance(answer, Outcome) else _from_status(status)


def _be_child(work: Work, write_end: int, parent: int, verbose: bool) -> NoReturn:
    """Does the work and ends without the interpreter's tear-down, whatever happens."""
    code = 70
    try:
        os.setpgid(0, 0)
        _die_with(parent)
        outcome = guarded(work, verbose)
        sys.stderr.flush()
        _write_all(write_end, json.dumps(asdict(outcome)).encode() + b"\n")
        code = outcome.exit_code
    finally:
        os._exit(code)


def _die_with(parent: int) -> None:
    """Linux: a child must not survive a parent that was itself killed. Elsewhere only SIGTERM is passed on."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(70)


def _on_terminate():
    """SIGTERM unwinds the parent, which then ends the child; returns the handler to restore, None outside main."""
    if threading.current_thread() is not threading.main_thread():
        return None

    def unwind(number: int, frame: object) -> NoReturn:
        raise SystemExit(128 + number)

    return signal.signal(signal.SIGTERM, unwind)


def _watch(child: int, read_end: int, last_moment: float, memory_limit: int | None) -> Outcome | None:
    """Waits for the child's answer; None when it closed the pipe (ended) without one."""
    received = b""
    while True:
        left = last_moment - time.monotonic()
        wait = max(0.0, left if memory_limit is None else min(left, _POLL))
        if select.select([read_end], [], [], None if math.isinf(wait) else wait)[0]:
            part = os.read(read_end, 1 << 16)
            received += part
            if received.endswith(b"\n"):
                return Outcome(**json.loads(received))
            if not part:
                return None
        elif left <= 0:
            return TIMED_OUT
        if memory_limit is not None and (used := resident_bytes(child)) > memory_limit:
            return _unfinished(6, "unknown", f"out of memory: {used >> 20} MiB resident, above --memory-limit")


def _end(child: int) -> int:
    """Kills what is left of the child's group and returns its wait status (its own, if it had ended before)."""
    for kill, target in ((os.killpg, child), (os.kill, child)):
        try:
            kill(target, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            # Already gone, or not yet the leader of its group: the second attempt is by process.
            continue
    return os.waitpid(child, 0)[1]


def _from_status(status: int) -> Outcome:
    """A child that ended without an answer."""
    code = os.waitstatus_to_exitcode(status)
    if code == -signal.SIGKILL:
        return _unfinished(6, "unknown", "killed by the system, most likely because memory ran out")
    if code < 0:
        return _unfinished(70, "unknown", f"internal error: the verification crashed ({signal.strsignal(-code)})")
    return _unfinished(70, "unknown", f"internal error: the verification ended without an answer (status {code})")


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data):]


def resident_bytes(pid: int) -> int:
    """Resident memory of a process, 0 where /proc does not tell (then the limit is not enforced)."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGESIZE")


def _run_threaded(work: Work, last_moment: float, verbose: bool) -> Outcome:
    """The work in a daemon thread; the caller has to leave by `os._exit` when it was given up."""
    answers: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    threading.Thread(target=lambda: answers.put(guarded(work, verbose)), daemon=True).start()
    while True:
        # Short waits, so that Ctrl-C is seen on systems where a wait cannot be interrupted.
        left = last_moment - time.monotonic()
        try:
            return answers.get(timeout=max(0.0, min(left, 0.5)))
        except queue.Empty:
            if left <= 0:
                return TIMED_OUT
