"""What a branching heuristic is: a score per candidate split, larger is better. It may be wrong about speed, never
about verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True, eq=False)
class BoxView:
    """What an input-splitting heuristic may look at, for n domains, i varying inputs, r rows: boxes `lower`, `upper`
    (n, i), the root's widths `root_width` (i,), and the linear lower bounds of the rows, `coeff` (n, r, i) and their
    minima `row_lower` (n, r); `open_rows` (n, r) marks rows of disjuncts that are still open."""

    lower: Tensor
    upper: Tensor
    root_width: Tensor
    coeff: Tensor
    row_lower: Tensor
    open_rows: Tensor


class InputHeuristic(Protocol):
    """Scores (n, i) of splitting each input in the middle."""

    def __call__(self, view: BoxView) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class NeuronView:
    """What a ReLU-splitting heuristic may look at, for n domains and u unstable neurons: `coeff` (n, u), the
    coefficient of the bound on each neuron's output, `z` (n, u) the relaxed pre-activations at the minimiser, `alpha`
    (n, u), the pre-activation bounds `lower`, `upper` (u,) and the biases `bias` (u,) of the neurons."""

    coeff: Tensor
    z: Tensor
    alpha: Tensor
    lower: Tensor
    upper: Tensor
    bias: Tensor


class NeuronHeuristic(Protocol):
    """Scores (n, u) of splitting each neuron at 0."""

    def __call__(self, view: NeuronView) -> Tensor: ...
