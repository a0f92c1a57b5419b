"""What a property declares by name: networks with typed, shaped tensors, and where each lies in the flat X and Y.

X holds the inputs of all networks, one network after the other, each tensor in row-major order; Y their outputs, and
behind the outputs of each network its declared hidden tensors. Inputs that a property asserts to be equal are one
entry of X: `wiring` gives it for every declared input entry.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from verify.errors import UnsupportedSpec

REAL = "real"
INPUT, HIDDEN, OUTPUT = ROLES = ("input", "hidden", "output")


@dataclass(frozen=True)
class Tensor:
    """One declared variable. `dtype` is an ONNX element type by the standard's name, or "real"; `onnx` names the value
    inside the model for a hidden one; `place` says where it is declared."""

    name: str
    role: str
    dtype: str
    shape: tuple[int, ...]
    onnx: str = ""
    place: str = field(default="", compare=False)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def __str__(self) -> str:
        return f"{self.role} {self.name} {self.dtype} [{','.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class Declaration:
    """One declared network. `equal_to` names the network whose model it shares, `isomorphic_to` one whose model has the
    same graph with other weights."""

    name: str
    tensors: tuple[Tensor, ...]
    equal_to: str | None = None
    isomorphic_to: str | None = None
    place: str = field(default="", compare=False)

    def of(self, *roles: str) -> tuple[Tensor, ...]:
        return tuple(tensor for role in roles for tensor in self.tensors if tensor.role == role)

    @property
    def model(self) -> str:
        """The declaration that names its model file."""
        return self.equal_to or self.name


class Span(NamedTuple):
    """Entries of the declared inputs ("X") or of Y."""

    kind: str
    begin: int
    end: int


@dataclass(frozen=True, eq=False)
class Interface:
    """All declared networks, in order. `wiring`: the entry of X that every declared input entry reads."""

    networks: tuple[Declaration, ...]
    wiring: tuple[int, ...]

    @cached_property
    def tensors(self) -> tuple[Tensor, ...]:
        """All tensors in the order of their declaration."""
        return tuple(tensor for network in self.networks for tensor in network.tensors)

    @cached_property
    def spans(self) -> dict[str, Span]:
        """Where each tensor lies in the declared inputs or in Y, by name."""
        return {tensor.name: span for tensor, span in spans(self.networks)}

    @property
    def shared(self) -> bool:
        """Whether some inputs are one entry of X."""
        return self.wiring != tuple(range(len(self.wiring)))

    @property
    def plain(self) -> bool:
        """One network with one input and one output, and nothing else."""
        return len(self.networks) == 1 and len(self.tensors) == 2 and not self.shared

    @property
    def semantics(self) -> str:
        """What the declared types ask for: `real`, or `float32`. Raises `UnsupportedSpec` for any other type."""
        odd = next((tensor for tensor in self.tensors if tensor.dtype not in (REAL, "float32")), None)
        if odd is not None:
            raise UnsupportedSpec(f"{odd.place}: {odd.name} has type {odd.dtype}, whose arithmetic the analysis does "
                                  "not follow; --semantics real (or declaring real) asks about exact numbers instead")
        return REAL if all(tensor.dtype == REAL for tensor in self.tensors) else "float32"

    def entry(self, kind: str, index: int) -> str:
        """The name of an entry of X or Y as the property writes it, such as U[0,3]; equal inputs have the first's."""
        tensor = self.tensor_of(kind, index)
        declared = self.wiring.index(index) if kind == "X" else index
        return tensor.name + subscript(tensor.shape, declared - self.spans[tensor.name].begin)

    def tensor_of(self, kind: str, index: int) -> Tensor:
        """The (first) tensor that an entry of X or Y belongs to."""
        declared = self.wiring.index(index) if kind == "X" else index
        return next(tensor for tensor in self.tensors if self.spans[tensor.name].kind == kind
                    and self.spans[tensor.name].begin <= declared < self.spans[tensor.name].end)


def spans(networks: tuple[Declaration, ...]) -> Iterator[tuple[Tensor, Span]]:
    """Where each tensor of `networks` lies."""
    for kind, roles in (("X", (INPUT,)), ("Y", (OUTPUT, HIDDEN))):
        tensors = [tensor for network in networks for tensor in network.of(*roles)]
        ends = itertools.accumulate((tensor.size for tensor in tensors), initial=0)
        for tensor, (begin, end) in zip(tensors, itertools.pairwise(ends), strict=True):
            yield tensor, Span(kind, begin, end)


def subscript(shape: tuple[int, ...], flat: int) -> str:
    """The indices of a flat position, [i,j]; nothing for a scalar."""
    found = []
    for size in reversed(shape):
        flat, index = divmod(flat, size)
        found.append(str(index))
    return f"[{','.join(reversed(found))}]" if found else ""
