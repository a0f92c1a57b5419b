"""What a search leaves behind for a proof: its trees, the dual evidence of every leaf, and the lemmas of the root.

Nothing here is trusted. The writer of a proof evaluates every piece again in the checker's arithmetic, so what is kept
may be lossy (slopes in eight bits) and incomplete (a leaf without evidence, refinements left out to save memory).

Neurons are named by (position of their nonlinear node in `query.graph.nonlinear`, flat index in that node); inputs by
their flat index in the network's input; disjuncts by their index in `query.case.disjuncts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

INPUT = -1
"""`SplitRecord.layer` of a cut through the input box."""


@dataclass(frozen=True, slots=True)
class SplitRecord:
    """An inner node. ReLU split: neuron `index` of nonlinear node `layer`, first child z >= 0, second z <= 0. Input
    split: `layer` is `INPUT`, first child x[index] <= threshold, second x[index] >= threshold; `box` (2, k) are the
    limits of the inputs `axes` (k,) to which the search had clipped the domain before it cut it."""

    layer: int
    index: int
    threshold: float = 0.0
    axes: np.ndarray | None = None
    box: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Neurons:
    """The columns of alpha vectors: neuron `index` (u,) of nonlinear node `layer` (u,), both int64, in network order.
    """

    layer: np.ndarray
    index: np.ndarray

    def __len__(self) -> int:
        return self.layer.size


@dataclass(frozen=True, eq=False, slots=True)
class LeafRecord:
    """Evidence of a closed leaf, over the columns `TreeRecord.neurons` (u,). Nothing at all: default lines suffice.

    `alpha`, `upper` (u,) uint8: positions of the lower and (S-shaped neurons only, else None) the upper lines, value a
    stands for a/256 and 255 for 1. `columns` (s,) int64 ascending, `signs` (s,) int8, `beta` (s,) float32 >= 0: the
    neurons that were fixed, to z >= 0 (+1) or z <= 0 (-1), and their multipliers; a leaf that an LP decided may list
    more neurons than its path splits (its own bounds fixed them). `weights` float32 >= 0: one per row of
    `case.disjuncts[tree.disjuncts[0]]`, in that order.
    """

    alpha: np.ndarray | None = None
    upper: np.ndarray | None = None
    columns: np.ndarray | None = None
    signs: np.ndarray | None = None
    beta: np.ndarray | None = None
    weights: np.ndarray | None = None


PLAIN = LeafRecord()


@dataclass(frozen=True, eq=False)
class TreeRecord:
    """A closed tree: every id from `root` down is a key of either `children` and `splits`, or `leaves`.

    `mode`: `input` (one tree for all `disjuncts`, leaves without evidence), `relu` (one disjunct) or `root` (one leaf,
    closed by the bounds of the whole box: without evidence by plain CROWN, else by alpha-CROWN rows). `neurons` is None
    where no leaf carries evidence.
    """

    mode: str
    disjuncts: tuple[int, ...]
    root: int
    splits: Mapping[int, SplitRecord]
    children: Mapping[int, tuple[int, int]]
    leaves: Mapping[int, LeafRecord]
    neurons: Neurons | None = None


@dataclass(frozen=True, eq=False)
class RefinementRecord:
    """alpha-CROWN bounds of k neurons of one layer, found in round `round` (0, 1, ...) on the bounds of all records
    before this one.

    `index` (k,): flat indices in nonlinear node `layer`. `alpha` (2k, u) uint8, rows 0..k-1 for the lower bounds of z
    and k..2k-1 for the upper ones (lower bounds of -z), over the columns `neurons` (u,), the unstable neurons of
    earlier layers; `upper` likewise for S-shaped columns, else None. `bounds` (2, k) float64: lower and upper bounds
    found; `before` (2, k): those known until then.
    """

    round: int
    layer: int
    index: np.ndarray
    neurons: Neurons
    alpha: np.ndarray
    upper: np.ndarray | None
    bounds: np.ndarray
    before: np.ndarray


@dataclass(frozen=True, eq=False)
class CaseRecord:
    """One case of the property. `trees`: every disjunct in exactly one of them; none where the box is empty or nothing
    is unsafe. `refinements` hold for all trees; `truncated`: some were left out to save memory."""

    case: int
    trees: tuple[TreeRecord, ...]
    refinements: tuple[RefinementRecord, ...] = ()
    truncated: bool = False


@dataclass(frozen=True, eq=False)
class Recording:
    """All cases of a verified property, by ascending index."""

    cases: tuple[CaseRecord, ...]


def quantised(position: Tensor) -> np.ndarray:
    """uint8 of positions in [0, 1]: a stands for a/256, 255 for 1."""
    return position.detach().clamp(0, 1).mul(256).round().clamp(max=255).to(torch.uint8).cpu().numpy()


def dequantised(position: np.ndarray) -> np.ndarray:
    """float64 positions that `quantised` ones stand for."""
    return np.where(position == 255, 1.0, position / 256.0)
