"""Longest edge: split the input whose width is largest relative to the root box. The heuristic to copy.

Best on networks whose linear bounds say little about where the relaxation loses (lattice networks, ACAS Xu)."""

from __future__ import annotations

from torch import Tensor

from bab.branching.base import BoxView


def longest_edge(view: BoxView) -> Tensor:
    """Widths relative to the root: (n, i)."""
    return (view.upper - view.lower) / view.root_width
