"""The largest difference of two networks on a box, and the largest box for a difference, by bisection.

It starts from bounds on the parts of the box above (`verify.pairs.parts`) and from points found by gradient ascent
below (`verify.pairs.seen`). Then every step is a question to an ordinary engine (`verify.pipeline.solve`): `verified`
is a proof and lowers the upper end, `falsified` brings a replayed point and raises the lower one, below `unknown`
nothing is asked any more. What is left of the time goes to the parts again. Both ends stand whenever it stops.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from verify.budget import Budget
from verify.errors import InvalidInput
from verify.onnx_import import Network
from verify.pairs.network import Pair
from verify.pairs.parts import Parts
from verify.pairs.properties import Number, equivalence
from verify.pairs.seen import Meter, Seen, widest
from verify.pipeline import Problem, solve
from verify.progress import Observer, Progress
from verify.query import InputBox, Spec
from verify.result import Result, Verdict

BOUNDS_SHARE, SHARE, UNLIMITED = 0.4, 0.35, 60.0
"""Of the time left, what the bounds on parts and what one question may take; seconds where the time has no limit."""

PATIENCE = 2
"""So many questions without an answer, once something is proved, end the search."""

LEAST = 1e-6
"""Radii below this share of the largest one are not tried."""


NEGLIGIBLE = 1e-15
"""Bounds below this are not asked about: what rounding is charged for networks without a difference."""


@dataclass(frozen=True)
class How:
    """What every question is asked with; `watch` is told about each."""

    method: str = "portfolio"
    device: str = "cpu"
    dtype: str = "auto"
    seed: int = 0
    watch: Observer | None = None

    def ask(self, network: Network, spec: Spec, budget: Budget) -> Result:
        return solve(Problem(network, spec), self.method, budget, self.device, self.dtype, self.seed, self.watch)

    def tell(self, phase: str) -> None:
        if self.watch is not None:
            self.watch(Progress(phase))


@dataclass(frozen=True)
class Step:
    """One question: the value asked for, the answer, and what it took."""

    value: float
    verdict: Verdict
    seconds: float
    domains: int


@dataclass(frozen=True, eq=False)
class Spread:
    """|y_j - y'_j| <= `bounds`_j is proved, (m,), infinite where nothing is; `seen`: where the largest difference was
    found, None where the box holds no point that the networks can be fed."""

    bounds: np.ndarray
    seen: Seen | None
    steps: tuple[Step, ...] = ()

    @property
    def upper(self) -> float:
        return float(self.bounds.max())

    @property
    def lower(self) -> float:
        return 0.0 if self.seen is None else self.seen.largest


def largest_difference(pair: Pair, box: InputBox, budget: Budget, ratio: float = 1.1, how: How = How()) -> Spread:
    """Brackets max |y_j - y'_j| over the box until the ends are within `ratio`, the questions are too hard, or the time
    is over. For pairs that share their input."""
    if pair.tie.raised:
        raise InvalidInput("the largest difference is about networks that read the same input")
    if not ratio > 1:
        raise InvalidInput(f"a ratio above 1 is expected, got {ratio}")
    meter = Meter(pair, box)
    how.tell("looking for differences")
    seen = widest(meter, how.seed, lambda: budget.expired)
    how.tell("bounds of the differences")
    turn = _part_of(budget, BOUNDS_SHARE)
    enough = NEGLIGIBLE if seen is None else max(ratio * seen.largest, NEGLIGIBLE)
    parts = Parts.of(pair, box).cut(enough, lambda: turn.expired)
    found, unproved, failures = Spread(parts.bounds, seen), 0.0, 0
    while not budget.expired and failures < PATIENCE and found.upper > ratio * max(found.lower, unproved, NEGLIGIBLE):
        delta = between(max(found.lower, unproved), found.upper)
        if delta is None:
            break
        result, step = _asked(pair, box, delta, budget, how, f"delta {float(delta):.3g} of {found.lower:.3g} to "
                                                             f"{found.upper:.3g}")
        found = replace(found, steps=(*found.steps, step))
        if result.verdict is Verdict.VERIFIED:
            found = replace(found, bounds=np.minimum(found.bounds, _above(delta)))
            continue
        unproved, failures = max(unproved, float(delta)), failures + (result.verdict is Verdict.UNKNOWN)
        other = None if result.witness is None else meter.seen(result.witness.x)
        if other is not None and other.largest > found.lower:
            found = replace(found, seen=other)
    how.tell("bounds of the differences")
    turn = _part_of(budget, 1.0)
    parts = parts.cut(max(ratio * found.lower, NEGLIGIBLE), lambda: turn.expired)
    return replace(found, bounds=np.minimum(found.bounds, parts.bounds))


def _asked(pair: Pair, box: InputBox, delta: Number, budget: Budget, how: How, phase: str, value: float | None = None
           ) -> tuple[Result, Step]:
    """Equivalence within delta, in a share of the time left."""
    how.tell(phase)
    result = how.ask(pair.network, equivalence(box, pair.outputs, delta), _part_of(budget, SHARE))
    stats = result.stats
    return result, Step(float(delta) if value is None else value, result.verdict, stats.seconds, stats.domains)


def _part_of(budget: Budget, share: float) -> Budget:
    return budget.slice(share * budget.remaining if math.isfinite(budget.remaining) else UNLIMITED)


def _above(value: Fraction) -> float:
    near = float(value)
    return near if near >= value else math.nextafter(near, math.inf)


def between(low: float, high: float) -> Fraction | None:
    """A number of few digits near the geometric mean; without a lower end, a thousandth of the upper one. None where
    the ends are too close."""
    if math.isfinite(high):
        middle = math.sqrt(low) * math.sqrt(high) if low > 0 else high / 1e3
    else:
        middle = 1e3 * low if low > 0 else 1.0
    for digits in (2, 4, 8, 16):
        value = Fraction(f"{middle:.{digits}e}")
        if low < value < high:
            return value
    return None


def largest_radius(pair: Pair, box_of: Callable[[float], InputBox], most: float, delta: Number, budget: Budget,
                   ratio: float = 1.05, how: How = How()) -> tuple[float, tuple[Step, ...]]:
    """The largest radius up to `most`, within `ratio`, for which equivalence within `delta` was proved on
    `box_of(radius)`; 0 where none was. Boxes must grow with the radius."""
    if not (math.isfinite(most) and most > 0 and ratio > 1):
        raise InvalidInput(f"a positive radius and a ratio above 1 are expected, got {most} and {ratio}")
    proved, unproved, steps, radius, failures = 0.0, math.inf, [], most, 0
    while not budget.expired and radius >= LEAST * most:
        result, step = _asked(pair, box_of(radius), delta, budget, how, f"radius {radius:.3g}", radius)
        steps.append(step)
        if result.verdict is Verdict.VERIFIED:
            proved = radius
        else:
            unproved, failures = radius, failures + (result.verdict is Verdict.UNKNOWN and proved > 0)
        if proved == most or unproved <= ratio * proved or failures >= PATIENCE:
            break
        radius = unproved / 4 if not proved else math.sqrt(proved * unproved)
    return proved, tuple(steps)
