"""Neurons that are unstable around most images first (alpha-CROWN or CROWN bounds)."""

from __future__ import annotations

from grafting.scores.base import Context, Ranking


def instability(context: Context) -> tuple[Ranking, ...]:
    """The share of images around which the neuron is unstable."""
    return (dict(context.stability.unstable),)
