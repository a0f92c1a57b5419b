"""What a running verification tells whoever watches it. Information only: nothing may depend on being watched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """The stage that runs, open and closed domains so far, and the least lower bound over the open ones."""

    phase: str
    open_domains: int = 0
    closed_domains: int = 0
    best_bound: float = float("nan")


Observer = Callable[[Progress], None]
