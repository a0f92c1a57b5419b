"""Best-first store of open domains: the domain with the smallest lower bound comes out first."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import torch

from bab.domains import SubproblemBatch


@dataclass(eq=False)
class Queue:
    """Domains in host memory, kept in the batches they came in; a heap orders them one by one.

    Nothing is ever evicted: a queue that grows beyond its memory is the search's reason to stop, not to forget.
    """

    _heap: list[tuple[float, int, int]] = field(default_factory=list)
    _batches: dict[int, tuple[SubproblemBatch, int]] = field(default_factory=dict)
    _next: int = 0
    bytes: int = 0

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def least(self) -> float:
        """The smallest lower bound among the open domains; infinity when there is none."""
        return self._heap[0][0] if self._heap else float("inf")

    def push(self, batch: SubproblemBatch) -> None:
        """Adds open domains. A NaN bound counts as -infinity."""
        if not len(batch):
            return
        number, self._next = self._next, self._next + 1
        self._batches[number] = (batch, len(batch))
        self.bytes += batch.bytes
        for row, lower in enumerate(torch.nan_to_num(batch.lower, nan=-torch.inf).tolist()):
            heapq.heappush(self._heap, (lower, number, row))

    def pop(self, count: int) -> SubproblemBatch:
        """Removes and returns the at most `count` worst domains."""
        taken: dict[int, list[int]] = {}
        for _ in range(min(count, len(self._heap))):
            _, number, row = heapq.heappop(self._heap)
            taken.setdefault(number, []).append(row)
        parts = []
        for number, rows in taken.items():
            batch, left = self._batches[number]
            parts.append(batch[torch.tensor(rows, device=batch.lower.device)])
            left -= len(rows)
            if left:
                self._batches[number] = (batch, left)
            else:
                del self._batches[number]
                self.bytes -= batch.bytes
        return SubproblemBatch.cat(parts)
