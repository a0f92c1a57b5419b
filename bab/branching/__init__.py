"""Branching heuristics, one file each."""

from bab.branching.babsr import babsr, intercept, relaxation_gap
from bab.branching.base import BoxView, InputHeuristic, NeuronHeuristic, NeuronView
from bab.branching.fsb import best_candidate, candidates
from bab.branching.longest_edge import longest_edge
from bab.branching.smart_branching import smart_branching

__all__ = [
    "BoxView", "InputHeuristic", "NeuronHeuristic", "NeuronView", "babsr", "best_candidate", "candidates", "intercept",
    "longest_edge", "relaxation_gap", "smart_branching",
]
