"""Runs one command and measures it: wall seconds from start to exit, and peak memory.

Peak memory is `ru_maxrss` of wait4: the largest resident size that the process, or any descendant that it waited for,
ever had (the largest, not the sum). On Linux it is never less than the size of the measuring process at the start of
the command, so measuring programs import nothing large.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
# -P and PYTHONPATH: the `verify` of this checkout, not the one that happens to be installed or in the current folder.
VERIFY = (sys.executable, "-P", "-c", "from verify.cli import main; main()")
_POLL = 0.002
_MERCY = 2.0


@dataclass(frozen=True)
class Finished:
    """A process that ended: exit code (negative: the signal), wall seconds, MiB, and what it wrote."""

    exit_code: int
    wall_s: float
    peak_mib: float
    stdout: str
    stderr: str
    killed: bool = False

    @property
    def last_error_line(self) -> str:
        """The last line of standard error without the prefix `error: `, empty if nothing was written."""
        lines = self.stderr.strip().splitlines()
        return lines[-1].strip().removeprefix("error: ") if lines else ""


def environment() -> Mapping[str, str]:
    """The environment in which `VERIFY` imports this checkout."""
    inherited = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": str(ROOT) + (os.pathsep + inherited if inherited else "")}


def run_process(command: Sequence[str], kill_after: float) -> Finished:
    """Runs `command` to its end; ends it (SIGTERM, then SIGKILL) when it is alive after `kill_after` seconds."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment())
        ended = None
        try:
            ended = _wait(process.pid, start + kill_after)
        finally:
            # Also after Ctrl-C: nothing that we started may go on. Not by Popen, whose wait does not tell the memory.
            killed = ended is None
            process.returncode, peak_mib = _end(process.pid) if ended is None else ended
        return Finished(process.returncode, time.monotonic() - start, peak_mib, _text(out), _text(err), killed)


def _wait(pid: int, last_moment: float) -> tuple[int, float] | None:
    """Exit code and peak MiB; None when the process is still alive at `last_moment`."""
    while True:
        found, status, usage = os.wait4(pid, os.WNOHANG)
        if found:
            unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
            return os.waitstatus_to_exitcode(status), usage.ru_maxrss / unit
        if time.monotonic() >= last_moment:
            return None
        time.sleep(_POLL)


def _end(pid: int) -> tuple[int, float]:
    """Ends a process that was not waited for yet; `verify` ends its own child on SIGTERM."""
    os.kill(pid, signal.SIGTERM)
    ended = _wait(pid, time.monotonic() + _MERCY)
    if ended is None:
        os.kill(pid, signal.SIGKILL)
        ended = _wait(pid, math.inf)
    return ended


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode(errors="replace")
