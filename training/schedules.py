"""What changes during training, as functions of progress t in [0, 1]: the share of all steps that are done."""

from __future__ import annotations

import math

from training.settings import Settings

MIDDLE, POWER = 0.25, 4


def ramp(t: float, start: float, end: float, shape: str = "smoothed") -> float:
    """0 before `start`, 1 from `end` on.

    `smoothed` (Xu et al. 2020, for CROWN-IBP with loss fusion): over the first quarter it grows as s^4, then linearly,
    without a kink between them: small radii last longest, where the bounds still learn to be tight.
    """
    if t >= end:
        return 1.0
    if t <= start:
        return 0.0
    s = (t - start) / (end - start)
    if shape == "linear":
        return s
    # a s^4 up to MIDDLE, then a line to (1, 1) with the same slope: 4 v / m = (1 - v) / (1 - m) at the value v = a m^4.
    value = MIDDLE / (MIDDLE + POWER * (1 - MIDDLE))
    if s < MIDDLE:
        return value * (s / MIDDLE) ** POWER
    return value + (1 - value) * (s - MIDDLE) / (1 - MIDDLE)


def growth(settings: Settings, t: float) -> float:
    """Share of eps that is trained for at t."""
    return ramp(t, *settings.ramp, settings.ramp_shape)


def eps(settings: Settings, t: float) -> float:
    """Radius that is trained for at t."""
    return settings.eps * growth(settings, t)


def kappa(settings: Settings, t: float) -> float:
    """Weight of the clean loss at t: it moves with eps, from the first to the second value."""
    first, last = settings.kappa
    return first + (last - first) * growth(settings, t)


def beta(settings: Settings, t: float) -> float:
    """Share of CROWN in the bounds of crown-ibp: (eps_max - eps) / eps_max."""
    return 1.0 - growth(settings, t)


def rate(settings: Settings, t: float) -> float:
    """What the learning rate is multiplied with at t."""
    if settings.lr_schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * min(t, 1.0)))
    return settings.lr_factor ** sum(t >= drop for drop in settings.lr_drops)
