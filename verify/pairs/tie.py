"""How the inputs of two networks hang together: the same point, or a second one above the first in some coordinates.

    shared:      x' = x
    increasing:  x' = x + e,  e >= 0 in the given coordinates and 0 in all others

Of a pair the input of the graph is x, followed by e where there is one; d = x - x' = -e.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from verify.errors import InvalidInput
from verify.graph import Node
from verify.ops import Affine, Gather, Input


@dataclass(frozen=True)
class Tie:
    """`raised`: flat coordinates in which the second input may exceed the first, in order; none for a shared input."""

    raised: tuple[int, ...] = ()

    def check(self, size: int) -> None:
        """Raises `InvalidInput` unless the coordinates are different ones of an input of `size` entries."""
        if len(set(self.raised)) != len(self.raised) or not all(0 <= i < size for i in self.raised):
            raise InvalidInput(f"coordinates {list(self.raised)}: expected different ones of 0 to {size - 1}")

    def entries(self, source: Node) -> tuple[list[Node], str | None]:
        """The input node of a pair and those that make up the first network's input, under its name; the name of the
        difference of the inputs, None where there is none."""
        if not self.raised:
            return [source], None
        size, shape = math.prod(source.shape), source.shape
        joint = Node("pair input", Input((size + len(self.raised),)), (), (size + len(self.raised),))
        own = Node(source.name, Gather(torch.arange(size).reshape(shape)), (joint.name,), shape)
        places = torch.full((size,), -1, dtype=torch.int64)
        places[list(self.raised)] = torch.arange(size, size + len(self.raised))
        rise = Node("rise of the input", Gather(places.reshape(shape)), (joint.name,), shape)
        apart = Node("difference of the inputs", Affine(torch.full((), -1.0, dtype=torch.float64)), (rise.name,), shape)
        return [joint, own, rise, apart], apart.name


SHARED = Tie()
