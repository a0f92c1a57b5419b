"""The statistics that reports need: intervals for proportions, a paired test, means over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats

from verify.errors import InvalidInput


def wilson(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval of a proportion (Wilson 1927), without continuity correction; (0, 1) for n = 0.

    (p + z^2/2n +- z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n) with p = successes / n.
    """
    if not 0 <= successes <= n:
        raise InvalidInput(f"{successes} successes out of {n} trials is impossible")
    _check(confidence)
    if n == 0:
        return 0.0, 1.0
    z = float(stats.norm.ppf(0.5 + confidence / 2))
    p, share = successes / n, z * z / n
    middle, half = p + share / 2, math.sqrt(share * (p * (1 - p) + share / 4))
    # At the ends the formula gives 0 and 1 up to rounding.
    low = 0.0 if successes == 0 else (middle - half) / (1 + share)
    high = 1.0 if successes == n else (middle + half) / (1 + share)
    return low, high


def mcnemar(wins: int, losses: int) -> float:
    """Two-sided p of the exact McNemar test: were as many of the discordant pairs wins as losses?

    Under the hypothesis wins are binomial with probability 1/2 (McNemar 1947); 1 without discordant pairs."""
    if min(wins, losses) < 0:
        raise InvalidInput(f"wins and losses are counts, got {wins} and {losses}")
    n = wins + losses
    return min(1.0, 2 * float(stats.binom.cdf(min(wins, losses), n, 0.5))) if n else 1.0


@dataclass(frozen=True)
class Mean:
    """Mean of `n` values with their sample standard deviation and a confidence interval of the mean."""

    value: float
    low: float
    high: float
    deviation: float
    n: int


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Mean:
    """Mean over independent repetitions (seeds) and its interval by Student's t with n - 1 degrees of freedom.

    One value has no deviation: its interval is the whole line."""
    _check(confidence)
    values = [float(value) for value in values]
    n = len(values)
    if not n:
        raise InvalidInput("a mean needs at least one value")
    mean = math.fsum(values) / n
    if n == 1:
        return Mean(mean, -math.inf, math.inf, math.nan, 1)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = float(stats.t.ppf(0.5 + confidence / 2, n - 1)) * deviation / math.sqrt(n)
    return Mean(mean, mean - half, mean + half, deviation, n)


def par2(seconds: Sequence[float], solved: Sequence[bool], limit: float) -> float:
    """Mean time in which what was not solved counts twice the limit; NaN for no instances."""
    scores = [time if done else 2 * limit for time, done in zip(seconds, solved, strict=True)]
    return math.fsum(scores) / len(scores) if scores else math.nan


def _check(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise InvalidInput(f"confidence must lie strictly between 0 and 1, got {confidence}")
