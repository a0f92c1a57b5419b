"""The live line: content, throttling, and silence where nobody watches."""

import io

from verify.progress import Progress
from verify.terminal import clear_line, format_progress, observer


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_line_shows_what_is_known():
    assert format_progress(Progress("attack"), 0.04) == "0.0 s  attack"
    line = format_progress(Progress("bab", 1024, 310, -0.01234567), 12.34)
    assert line == "12.3 s  bab  1,024 open  310 closed  bound -0.01235"


def test_silent_without_a_terminal():
    stream = io.StringIO()
    assert observer(stream, 0.0) is None
    clear_line(stream)
    assert stream.getvalue() == ""


def test_throttled_to_one_line_per_interval(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    times = iter([1.0, 1.05, 1.2])
    screen = Screen()
    show = observer(screen, 0.0, clock=lambda: next(times), interval=0.1)
    for phase in ("first", "second", "third"):
        show(Progress(phase))
    assert screen.getvalue() == "\r\x1b[K1.0 s  first\r\x1b[K1.2 s  third"


def test_colour_only_where_wanted(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    screen = Screen()
    observer(screen, 0.0, clock=lambda: 1.0)(Progress("bab"))
    assert "\x1b[2m" in screen.getvalue()
    clear_line(screen)
    assert screen.getvalue().endswith("\r\x1b[K")
