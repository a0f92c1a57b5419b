"""Open subproblems as a structure of arrays: every array has the domains as its first axis.

The search only reads `lower` and `depth`; what else a bounder keeps per domain (boxes, split signs, warm starts) lives
in `data` and travels along whenever domains are selected, split or joined.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class SubproblemBatch:
    """n open domains: `lower` (n,) their best known bound, `depth` (n,) the splits above them, `data` name -> (n, ...).
    """

    lower: Tensor
    depth: Tensor
    data: Mapping[str, Tensor]

    def __len__(self) -> int:
        return self.lower.shape[0]

    def __getitem__(self, key: Tensor) -> SubproblemBatch:
        """The domains selected by a boolean mask or an index tensor, as copies."""
        return SubproblemBatch(self.lower[key], self.depth[key], {name: t[key] for name, t in self.data.items()})

    def __getattr__(self, name: str) -> Tensor:
        try:
            return self.__dict__["data"][name]
        except KeyError:
            raise AttributeError(name) from None

    def with_data(self, lower: Tensor | None = None, **changes: Tensor) -> SubproblemBatch:
        """The same domains with some arrays replaced or added."""
        return replace(self, lower=self.lower if lower is None else lower, data={**self.data, **changes})

    @staticmethod
    def cat(parts: list[SubproblemBatch]) -> SubproblemBatch:
        return SubproblemBatch(
            torch.cat([p.lower for p in parts]), torch.cat([p.depth for p in parts]),
            {name: torch.cat([p.data[name] for p in parts]) for name in parts[0].data},
        )

    def split(self, first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> SubproblemBatch:
        """Both children of every domain (2 n; child k of domain j at k n + j): copies with the given arrays replaced.

        A child is a subset of its parent, so it starts with the parent's bound.
        """
        deeper = replace(self, depth=self.depth + 1)
        return SubproblemBatch.cat([deeper.with_data(**first), deeper.with_data(**second)])

    @property
    def bytes(self) -> int:
        """Memory of all arrays."""
        return sum(t.numel() * t.element_size() for t in (self.lower, self.depth, *self.data.values()))
