"""Which neurons to graft: every score by name."""

from types import MappingProxyType

from grafting.scores.area import area
from grafting.scores.base import Context, Ranking, Score
from grafting.scores.instability import instability
from grafting.scores.low_magnitude import low_magnitude
from grafting.scores.paper import paper_gradient, paper_magnitude
from grafting.scores.random import random
from grafting.scores.replacement_error import replacement_error
from grafting.scores.weighted_area import weighted_area

SCORES = MappingProxyType({
    "paper": paper_gradient,
    "paper-magnitude": paper_magnitude,
    "random": random,
    "low-magnitude": low_magnitude,
    "instability": instability,
    "area": area,
    "weighted-area": weighted_area,
    "replacement-error": replacement_error,
})

__all__ = ["SCORES", "Context", "Ranking", "Score"]
