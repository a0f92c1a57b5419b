"""Observers of the search: they see every split and every closed domain, and cannot influence it."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from bab.domains import SubproblemBatch


class Trace(Protocol):
    """What the search reports. `margins` (n,) are the rigorous bounds that closed the domains."""

    def split(self, parents: SubproblemBatch, children: SubproblemBatch) -> None: ...

    def closed(self, domains: SubproblemBatch, margins: Tensor) -> None: ...


class NullTrace:
    """Watches nothing."""

    def split(self, parents: SubproblemBatch, children: SubproblemBatch) -> None:
        pass

    def closed(self, domains: SubproblemBatch, margins: Tensor) -> None:
        pass
