"""Progress for people: one live line on standard error, only when that is a terminal."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from typing import TextIO

from verify.progress import Observer, Progress

_CLEAR = "\r\x1b[K"


def format_progress(progress: Progress, elapsed: float) -> str:
    """`12.3 s  bab  1,024 open  310 closed  bound -0.0123`."""
    parts = [f"{elapsed:.1f} s", progress.phase]
    if progress.open_domains or progress.closed_domains:
        parts.append(f"{progress.open_domains:,} open  {progress.closed_domains:,} closed")
    if not math.isnan(progress.best_bound):
        parts.append(f"bound {progress.best_bound:.4g}")
    return "  ".join(parts)


def observer(stream: TextIO, started: float, clock: Callable[[], float] = time.monotonic,
             interval: float = 0.1) -> Observer | None:
    """Rewrites one line of `stream` at most every `interval` seconds; None when `stream` is not a terminal."""
    if not stream.isatty():
        return None
    dim, plain = ("", "") if os.environ.get("NO_COLOR") else ("\x1b[2m", "\x1b[0m")
    last = -math.inf

    def show(progress: Progress) -> None:
        nonlocal last
        now = clock()
        if now - last >= interval:
            last = now
            stream.write(f"{_CLEAR}{dim}{format_progress(progress, now - started)}{plain}")
            stream.flush()

    return show


def clear_line(stream: TextIO) -> None:
    """Removes the live line, if there can be one."""
    if stream.isatty():
        stream.write(_CLEAR)
        stream.flush()
