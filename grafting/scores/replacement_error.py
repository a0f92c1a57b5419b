"""Neurons that a line replaces best first: they keep the network as it is, and gain the verifier least."""

from __future__ import annotations

from grafting.scores.base import Context, Ranking


def replacement_error(context: Context) -> tuple[Ranking, ...]:
    """Minus the mean squared distance of ReLU(z) from its least-squares line over the calibration images."""
    return ({name: -error for name, error in context.residual().items()},)
