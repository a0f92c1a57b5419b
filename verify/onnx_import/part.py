"""What a network reads and gives: named tensors, and where they lie in the flat values of the graph.

A graph has one input and one output. Where a network has several, they are laid flat one behind the other, in the
order of the model, part after part. With exactly one input (output), the value keeps its ONNX shape.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Shape = tuple[int, ...]
Wiring = tuple[int, ...] | None
"""For every entry of the ports' flat values the entry of the joint input that it reads; None: the same one. Models may
share inputs."""


@dataclass(frozen=True)
class Port:
    """One input or output of a model; `double` tells that its type is float64."""

    name: str
    shape: Shape
    double: bool = False

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def dtype(self) -> type:
        return np.float64 if self.double else np.float32


@dataclass(frozen=True, eq=False)
class Part:
    """One model of a network: `onnx` is all of it (weights included), `name` is "" where it is the only one."""

    name: str
    onnx: bytes
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    @property
    def input_size(self) -> int:
        return sum(port.size for port in self.inputs)

    @property
    def output_size(self) -> int:
        return sum(port.size for port in self.outputs)


def joint_shape(ports: Sequence[Port]) -> Shape:
    """The shape of the one value that stands for all ports."""
    return ports[0].shape if len(ports) == 1 else (sum(port.size for port in ports),)


def slices(ports: Sequence[Port]) -> tuple[slice, ...]:
    """Where each port lies in the flat value of all of them."""
    ends = np.cumsum([0, *(port.size for port in ports)]).tolist()
    return tuple(slice(begin, end) for begin, end in itertools.pairwise(ends))


def feeds(parts: Sequence[Part], x: np.ndarray, wiring: Wiring = None) -> tuple[dict[str, np.ndarray], ...]:
    """For every part what its model is fed at the joint input x (of any shape): tensors of the ports' types."""
    ports, flat = [port for part in parts for port in part.inputs], x.reshape(-1)
    flat = flat if wiring is None else flat[list(wiring)]
    tensors = iter([
        np.asarray(flat[where], port.dtype).reshape(port.shape)
        for where, port in zip(slices(ports), ports, strict=True)
    ])
    return tuple({port.name: next(tensors) for port in part.inputs} for part in parts)


def single_entries(parts: Sequence[Part], wiring: Wiring = None) -> np.ndarray:
    """Which entries of the joint input must be float32 numbers, because an input of that type reads them."""
    ports = [port for part in parts for port in part.inputs]
    single = np.repeat([not port.double for port in ports], [port.size for port in ports])
    if wiring is None:
        return single
    found = np.zeros(max(wiring) + 1, dtype=bool)
    found[np.asarray(wiring)[single]] = True
    return found


def joined(outputs: Sequence[np.ndarray]) -> np.ndarray:
    """The joint output, float64, of all tensors that the models gave, in order."""
    arrays = [np.asarray(array, np.float64) for array in outputs]
    return arrays[0] if len(arrays) == 1 else np.concatenate([array.reshape(-1) for array in arrays])
