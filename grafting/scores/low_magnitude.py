"""Neurons with small pre-activations first: little is lost, and near 0 is where bounds are unstable."""

from __future__ import annotations

from grafting.scores.base import Context, Ranking


def low_magnitude(context: Context) -> tuple[Ranking, ...]:
    """Minus the mean of |z| over the calibration images."""
    return ({name: -mean for name, mean in context.mean(lambda z: z.abs()).items()},)
