"""Time and memory that one verification may use.

A `Budget` is created once, at the start of a run, and handed to every stage; a stage asks `expired` between its steps
and sizes its tensors by `memory_bytes`. Running out is not an error: the stage returns what it has.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace


def never() -> bool:
    """Nobody cancels."""
    return False


@dataclass(frozen=True)
class Budget:
    """`deadline` on the `time.monotonic` clock (seconds), `memory_bytes` for the tensors of all stages together;
    `cancelled` says that the rest is not wanted any more (another engine was quicker)."""

    deadline: float = float("inf")
    memory_bytes: int = 4 << 30
    start: float = field(default_factory=time.monotonic)
    cancelled: Callable[[], bool] = never

    @classmethod
    def seconds(cls, seconds: float, memory_bytes: int = 4 << 30) -> Budget:
        """A budget of `seconds` from now."""
        now = time.monotonic()
        return cls(deadline=now + seconds, memory_bytes=memory_bytes, start=now)

    @property
    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.deadline - time.monotonic())

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.start

    @property
    def expired(self) -> bool:
        return time.monotonic() >= self.deadline or self.cancelled()

    def slice(self, seconds: float) -> Budget:
        """The same memory, at most `seconds` from now and never beyond the own deadline."""
        return replace(self, deadline=min(self.deadline, time.monotonic() + seconds))

    def until(self, event: Callable[[], bool]) -> Budget:
        """The same budget, ended early when `event` comes true."""
        return replace(self, cancelled=lambda: event() or self.cancelled())
