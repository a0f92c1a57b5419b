"""Neurons whose relaxation costs the margin most first: height times |CROWN coefficient|, averaged over images."""

from __future__ import annotations

from grafting.scores.base import Context, Ranking


def weighted_area(context: Context) -> tuple[Ranking, ...]:
    """The mean of -l u / (u - l) |a|, with a the coefficient of relu(z) in the bound of the smallest margin."""
    return (dict(context.stability.weighted),)
