"""Observers of the search: they see every split and every closed domain, and cannot influence it."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from bab.domains import SubproblemBatch


class Trace(Protocol):
    """What the search reports. Every domain has `id` (n,) int64, unique within its search.

    `roots`: the first domains. `split`: child k of domain j of `parents` is domain k n + j of `children`. `closed`:
    `margins` (n,) are the rigorous bounds that closed the domains, whose arrays hold the evidence.
    """

    def roots(self, domains: SubproblemBatch) -> None: ...

    def split(self, parents: SubproblemBatch, children: SubproblemBatch) -> None: ...

    def closed(self, domains: SubproblemBatch, margins: Tensor) -> None: ...


class NullTrace:
    """Watches nothing."""

    def roots(self, domains: SubproblemBatch) -> None:
        pass

    def split(self, parents: SubproblemBatch, children: SubproblemBatch) -> None:
        pass

    def closed(self, domains: SubproblemBatch, margins: Tensor) -> None:
        pass
