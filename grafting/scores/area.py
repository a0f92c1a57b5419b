"""Neurons with large relaxations first: -l u / (u - l), the height of the triangle, averaged over images."""

from __future__ import annotations

from grafting.scores.base import Context, Ranking


def area(context: Context) -> tuple[Ranking, ...]:
    """The mean of -l u / (u - l), 0 where the neuron is stable."""
    return (dict(context.stability.area),)
